# What `cmake --install` lays down, by component: `program` is bin/millrace with links by Kafka's tool names (all that an image needs),
# `simulator` what `millrace simulate` runs (when it was built), `files` the man page and sample configuration.
include(GNUInstallDirs)
install(TARGETS millrace RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/kafka-names.txt kafka_names)
foreach(name ${kafka_names})
  install(CODE "file(CREATE_LINK millrace \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${name}\" SYMBOLIC)"
    COMPONENT program)
endforeach()
install(TARGETS millrace-simulate RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/millrace COMPONENT simulator OPTIONAL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/millrace.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT files)
file(GLOB samples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/*.properties)
install(FILES ${samples} DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/millrace COMPONENT files)
