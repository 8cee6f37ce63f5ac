// Sums whose lowest bit is made apart from the carry chain, and counts that need none.
//
// In a + b the lowest bit is also what the chain's first place is given: synthesis makes both with one LUT, whose
// output leaves the slice before it comes to the chain. Here the chain begins with the carry out of that bit instead.
package bnn_add_pkg;
  // a + b, modulo 2^32; of narrower numbers the low bits are theirs.
  function automatic logic [31:0] add(input logic [31:0] a, input logic [31:0] b);
    logic unused_low;
    add[0] = a[0] ^ b[0];
    {add[31:1], unused_low} = {a[31:1], a[0] & b[0]} + {b[31:1], a[0] & b[0]};
  endfunction

  // a and one more, one less or neither, modulo 2^32; each bit from those below it, so that few bits need no carry chain.
  function automatic logic [31:0] count(input logic [31:0] a, input logic up, input logic down);
    for (int unsigned i = 0; i < 32; i++) begin
      logic [31:0] below;
      below = 32'((64'd1 << i) - 64'd1);
      count[i] = a[i] ^ ((up & ~down & (&(a | ~below))) | (down & ~up & ~(|(a & below))));
    end
  endfunction
endpackage
