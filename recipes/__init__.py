"""Recipes: one question a file, one function. Its keyword-only arguments are its whole configuration."""

if __name__ != "sigconv.recipes":
    raise ImportError(f"this folder is the package 'sigconv.recipes', not {__name__!r}")
