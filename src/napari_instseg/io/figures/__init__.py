"""Pictures for papers: an image with its objects, a legend and a scale bar."""
