"""Change between two dates of one person: difference in units of the noise, volumes of structures, lesions."""
