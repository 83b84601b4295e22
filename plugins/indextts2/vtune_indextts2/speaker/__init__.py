"""Who speaks: the CAM++ network, from a filter bank to one embedding a clip."""
