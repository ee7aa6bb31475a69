"""The studio: a page in the browser on which a film is seen shot by shot, its colors are chosen and corrected.

The page is served on this machine alone. What is decided lies in the film's project (films.project), from which the
command line colors the film as the page does.
"""
