# Fills a manual page: @VERBS@ from `assay help --man`, @CONFIG@ from the commented configuration file.
cmake_minimum_required(VERSION 3.25) # else "@VERBS@" below would be replaced before it is looked for
execute_process(COMMAND ${ASSAY} help --man OUTPUT_VARIABLE VERBS RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "assay help --man ended with ${status}")
endif()
file(READ ${CONFIG} CONFIG)
string(REPLACE "\\" "\\e" CONFIG "${CONFIG}")
string(REGEX REPLACE "\n\\." "\n\\\\&." CONFIG "${CONFIG}")
string(REPLACE "-" "\\-" CONFIG "${CONFIG}")
file(READ ${TEMPLATE} text)
string(REPLACE "@VERBS@" "${VERBS}" text "${text}")
string(REPLACE "@CONFIG@" "${CONFIG}" text "${text}")
file(WRITE ${OUTPUT} "${text}")
