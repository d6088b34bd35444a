# Slicer's own CMake files, from work trees of Slicer and CTK, without a build of either: enough to configure, build,
# install and package an extension of scripted modules. Given with -D:
#   SLICER_SOURCE, CTK_SOURCE   the work trees
#   PYTHON_EXECUTABLE           compiles the scripts
#   Slicer_LAUNCHER_EXECUTABLE  the command that runs the tests
# What stands here is what a build of Slicer writes into its SlicerConfig.cmake; all rules are in the files of the trees.
foreach(_name SLICER_SOURCE CTK_SOURCE PYTHON_EXECUTABLE)
  if(NOT EXISTS "${${_name}}")
    message(FATAL_ERROR "${_name} does not exist: '${${_name}}'")
  endif()
endforeach()

#-----------------------------------------------------------------------------
# Where the trees keep what an extension uses
set(Slicer_CMAKE_DIR "${SLICER_SOURCE}/CMake")
set(Slicer_EXTENSIONS_CMAKE_DIR "${SLICER_SOURCE}/Extensions/CMake")
set(CTK_CMAKE_DIR "${CTK_SOURCE}/CMake")
set(_not_needed "${CMAKE_CURRENT_LIST_DIR}/NotNeeded")
list(PREPEND CMAKE_MODULE_PATH
  "${Slicer_CMAKE_DIR}" "${Slicer_EXTENSIONS_CMAKE_DIR}" "${CTK_CMAKE_DIR}" "${_not_needed}")
set(Slicer_USE_FILE "${Slicer_CMAKE_DIR}/UseSlicer.cmake.in") # has nothing to fill in
set(Slicer_EXTENSION_GENERATE_CONFIG "${Slicer_CMAKE_DIR}/SlicerExtensionGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${Slicer_CMAKE_DIR}/SlicerExtensionCPack.cmake")
set(Slicer_EXTENSION_CPACK_BUNDLE_FIXUP "${Slicer_CMAKE_DIR}/SlicerExtensionCPackBundleFixup.cmake.in")
set(Slicer_PYTHON_MODULE_TEST_TEMPLATES_DIR "${SLICER_SOURCE}/Base/QTCore/Testing/Python")
set(Slicer_LICENSE_FILE "${SLICER_SOURCE}/License.txt")
set(Slicer_README_FILE "${SLICER_SOURCE}/README.md")

#-----------------------------------------------------------------------------
# The application: version, folders, system
file(STRINGS "${SLICER_SOURCE}/CMakeLists.txt" _lines REGEX "^ *set\\(Slicer_VERSION_(MAJOR|MINOR) ")
foreach(_line IN LISTS _lines)
  if(_line MATCHES "(Slicer_VERSION_[A-Z]+) \"?([0-9]+)")
    set(${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
  endif()
endforeach()
set(Slicer_MAIN_PROJECT SlicerApp)
set(SlicerApp_APPLICATION_NAME Slicer)
set(Slicer_EXTENSIONS_DIRBASENAME Extensions)
set(Slicer_REVISION 0)
set(Slicer_WC_ROOT NA)
set(Slicer_ExternalData_DATA_MANAGEMENT_TARGET SlicerData)
include(ExternalProjectDependency)
include(SlicerDirectories)
include(SlicerBlockOperatingSystemNames)
if(WIN32)
  set(Slicer_OS "${Slicer_OS_WIN_NAME}")
elseif(APPLE)
  set(Slicer_OS "${Slicer_OS_MAC_NAME}")
else()
  set(Slicer_OS "${Slicer_OS_LINUX_NAME}")
endif()
set(Slicer_ARCHITECTURE "${CMAKE_SYSTEM_PROCESSOR}")

#-----------------------------------------------------------------------------
# Python: scripts are compiled by the interpreter alone; CTK wants to know a library's folder too
set(Slicer_USE_PYTHONQT ON)
set(PYTHONINTERP_FOUND ON)
set(PYTHONLIBS_FOUND ON)
set(PYTHON_LIBRARIES "${PYTHON_EXECUTABLE}")
include(ctkFunctionExtractOptimizedLibrary)

#-----------------------------------------------------------------------------
# What only compiled modules need, and what takes a built Slicer
set(Slicer_BUILD_SHARED ON)
set(Slicer_USE_CTKAPPLAUNCHER OFF)
set(Slicer_SKIP_EXTERNAL_PROJECTS_USEFILE ON)
set(Slicer_SKIP_SlicerBlockPlatformCheck ON)
set(Slicer_SKIP_SET_CMAKE_C_CXX_FLAGS ON)
set(CMAKE_DISABLE_FIND_PACKAGE_PythonQt ON)
set(SlicerExecutionModel_DIR "${_not_needed}")
set(CTKAppLauncher_DIR "${_not_needed}")
