"""Where clips come from: folders, tables, text files and Hugging Face data sets, one module a format."""
