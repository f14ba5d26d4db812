# Files compiled into the program: each becomes `const unsigned char embed_NAME[]` and `const size_t embed_NAME_len`,
# NAME being its file name with every other character turned into an underscore.
set(ASSAY_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_one.cmake)

function(assay_embed_file target name input symbol)
  set(output ${CMAKE_BINARY_DIR}/generated/embed/${symbol}.c)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${input} -DOUTPUT=${output} -DSYMBOL=embed_${symbol} -P ${ASSAY_EMBED_SCRIPT}
    DEPENDS ${ASSAY_EMBED_SCRIPT} ${name} VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()

function(assay_embed target folder)
  foreach(ending ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.${ending})
    foreach(file ${files})
      get_filename_component(base ${file} NAME)
      string(MAKE_C_IDENTIFIER ${base} symbol)
      if(base MATCHES "^[0-9]")
        set(symbol "schema${symbol}")
      endif()
      assay_embed_file(${target} ${file} ${file} ${symbol})
    endforeach()
  endforeach()
endfunction()
