# Wrapping for Python is for compiled modules; this extension has none.
