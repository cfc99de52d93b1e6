"""An invented abdomen as a function of position: what a CT scanner would see at any point, and which organ is there.

Points are (x, y, z) in mm in the body's own frame: x towards the patient's left, y towards the back, z towards the
head, origin in the middle of the body. Being a function, it is sampled without interpolation on any grid, straight or
oblique. Sizes follow an average adult, intensities a portal venous CT.
"""
