# A stand-in for an installed Slicer, enough to configure, build and install MedDL with plain CMake. It checks what
# Slicer's macros check and more (listed files exist, each is listed once, metadata is set), puts files where they put
# them, and compiles nothing. `SlicerSource` beside it takes Slicer's own macros instead.
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/CheckMetadata.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Package.cmake")
# As on macOS, where the folders of the build and of the installation differ most.
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR
  "Slicer.app/Contents/Extensions-0/MedDL/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
