# bin/millrace, links with Kafka's tool names, a man page and sample configuration.
include(GNUInstallDirs)
install(TARGETS millrace RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/kafka-names.txt kafka_names)
foreach(name ${kafka_names})
  install(CODE "file(CREATE_LINK millrace \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${name}\" SYMBOLIC)")
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/deploy/millrace.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/server.properties DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/millrace)
