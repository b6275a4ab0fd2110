# What `cmake --install` lays down, by component: `program` is bin/millrace, `kafka-names` links by the names of Kafka's tools (an image needs these
# two), `simulator` what `millrace simulate` runs (when it was built), `man`, and `samples` of configuration. `service` belongs to packages alone
# (Package.cmake): there configuration lies in /etc, wherever the program is.
include(GNUInstallDirs)
install(TARGETS millrace RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/kafka-names.txt kafka_names)
install(CODE "file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")" COMPONENT kafka-names)
foreach(name ${kafka_names})
  install(CODE "file(CREATE_LINK millrace \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${name}\" SYMBOLIC)"
    COMPONENT kafka-names)
endforeach()
install(TARGETS millrace-simulate RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/millrace COMPONENT simulator OPTIONAL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/millrace.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT man)
file(GLOB samples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/*.properties)
install(FILES ${samples} DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/millrace COMPONENT samples)
install(FILES ${samples} DESTINATION /etc/millrace COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/systemd/millrace@.service DESTINATION /lib/systemd/system COMPONENT service EXCLUDE_FROM_ALL)
