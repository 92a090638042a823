//! Our own files in the same formats.
