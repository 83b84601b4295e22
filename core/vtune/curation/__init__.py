"""Look over a data set and repair it: the doctor finds faults, the review lets a person mend them."""
