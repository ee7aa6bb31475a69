"""Reading and writing of still image files: files.open_still, Page.lightness, files.write_still.

Nothing is imported here: training on photos works without OpenCV.
"""
