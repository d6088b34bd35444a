"""De-identification of files on disk: the verb, and the section of the super-resolution panel."""
