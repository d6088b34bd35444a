"""The section *Change*: what has changed between two dates of one subject."""
