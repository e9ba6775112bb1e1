"""From files, folders, archives, URLs and DICOM to images."""
