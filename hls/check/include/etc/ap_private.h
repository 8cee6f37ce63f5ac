// The analysis has its own storage of an ap_int (ap_common.h).
