"""What the HLS C++ will come to in the vendor's tools: minimum II of its loops, and the rules for its pragmas."""
