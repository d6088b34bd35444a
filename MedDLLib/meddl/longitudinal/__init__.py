"""Change between two dates of one subject: difference in units of the noise, volumes of structures, lesions."""
