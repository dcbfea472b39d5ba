"""What reading a damaged zip or tar archive raises: by format and damage a dozen kinds of errors."""

import lzma
import tarfile
import zipfile
import zlib

ARCHIVE_ERRORS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    MemoryError,
    NotImplementedError,  # a method of compression that Python does not have
    RuntimeError,  # a password
    AttributeError,  # a tar header that ends in its numbers
)
