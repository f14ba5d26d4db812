# What `cmake --install` puts where, and the Debian package by CPack.
target_compile_definitions(assay_flags INTERFACE ASSAY_LIBEXEC="${CMAKE_INSTALL_FULL_LIBEXECDIR}/assay")
# The unit names the program where it is put, which only the installation knows: a package has another prefix than a build.
install(CODE "set(ASSAY_BIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/assay\")
  set(ASSAY_WORKER \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBEXECDIR}/assay/assay-worker\")
  configure_file(\"${CMAKE_SOURCE_DIR}/packaging/systemd/assay.service.in\" \"${CMAKE_BINARY_DIR}/assay.service\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/assay.service DESTINATION lib/systemd/system)
install(FILES packaging/systemd/assay.sysusers DESTINATION lib/sysusers.d RENAME assay.conf)
install(FILES packaging/systemd/assay.tmpfiles DESTINATION lib/tmpfiles.d RENAME assay.conf)
install(FILES packaging/assay.yml DESTINATION /etc/assay)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN __pycache__ EXCLUDE)

# Manual pages and completion are made from the verb table, so they cannot say less or more than the program.
if(TARGET assay)
  foreach(page assay.1 assay-serve.8 assay.yml.5)
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man/${page}
      COMMAND ${CMAKE_COMMAND} -DASSAY=$<TARGET_FILE:assay> -DPAGE=${page} -DTEMPLATE=${CMAKE_SOURCE_DIR}/packaging/man/${page}.in
        -DCONFIG=${CMAKE_SOURCE_DIR}/packaging/assay.yml -DOUTPUT=${CMAKE_BINARY_DIR}/man/${page} -P ${CMAKE_SOURCE_DIR}/packaging/man/page.cmake
      DEPENDS assay packaging/man/${page}.in packaging/man/page.cmake packaging/assay.yml VERBATIM)
    list(APPEND man_pages ${CMAKE_BINARY_DIR}/man/${page})
  endforeach()
  add_custom_target(man ALL DEPENDS ${man_pages})
  install(FILES ${CMAKE_BINARY_DIR}/man/assay.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_BINARY_DIR}/man/assay.yml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  install(FILES ${CMAKE_BINARY_DIR}/man/assay-serve.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
  install(FILES packaging/completion/assay.bash DESTINATION share/bash-completion/completions RENAME assay)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME assay)
set(CPACK_PACKAGE_VENDOR "Assay")
set(CPACK_PACKAGE_CONTACT "The Assay maintainers <assay@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "self-hosted CI/CD agent for machine-learning repositories")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What is loaded when it is needed first, not linked: shlibdeps cannot see it.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libarchive13, libcurl4, libcmark-gfm0.29.0.gfm.6, libcmark-gfm-extensions0.29.0.gfm.6, libgit2-1.5, libssl3, systemd | systemd-standalone-sysusers, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "git, nodejs, passt, python3, python3-pip")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "uidmap")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_SOURCE_DIR}/packaging/deb/postinst;${CMAKE_SOURCE_DIR}/packaging/deb/prerm;${CMAKE_SOURCE_DIR}/packaging/deb/postrm;${CMAKE_SOURCE_DIR}/packaging/deb/conffiles")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
include(CPack)
