# cmake -DINPUT=… -DOUTPUT=… -DSYMBOL=… -P embed_one.cmake: writes a C file that holds the bytes of INPUT.
file(READ ${INPUT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," body "${hex}")
file(WRITE ${OUTPUT} "#include <stddef.h>\nextern const unsigned char ${SYMBOL}[];\nextern const size_t ${SYMBOL}_len;\n"
  "const unsigned char ${SYMBOL}[] = {${body}0};\nconst size_t ${SYMBOL}_len = ${bytes};\n")
