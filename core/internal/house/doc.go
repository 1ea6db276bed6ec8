package house
