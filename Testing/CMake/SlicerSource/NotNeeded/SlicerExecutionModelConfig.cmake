# Modules for the command line are compiled; this extension has none.
set(SlicerExecutionModel_USE_FILE "${CMAKE_CURRENT_LIST_FILE}")
