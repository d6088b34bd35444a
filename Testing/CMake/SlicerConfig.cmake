# A stand-in for an installed Slicer, enough to configure, build and install MedDL with plain CMake. It checks what
# Slicer's macros check (listed files exist, metadata is set), puts files where they put them, and compiles nothing.
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/CheckMetadata.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Package.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "lib/qt-scripted-modules")
