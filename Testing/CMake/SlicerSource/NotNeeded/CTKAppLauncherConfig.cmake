# The launcher that would start a built Slicer with the extension.
function(ctkAppLauncherConfigureForExecutable)
endfunction()
