// Whether two numbers are equal: three bits a LUT, then one or two more levels of LUTs
//
// In parts that synthesis does not take apart, as it saves LUTs at the cost of levels otherwise. No registers.
module bnn_equal #(
    parameter int unsigned Bits = 16
) (
    input  logic [Bits-1:0] a_i,
    input  logic [Bits-1:0] b_i,
    output logic            equal_o
);
  localparam int unsigned Part = 3;
  localparam int unsigned Parts = (Bits + Part - 1) / Part;

  logic [Parts-1:0] equal;

  for (genvar i = 0; i < Parts; i++) begin : gen_part
    localparam int unsigned Here = (i == Parts - 1) ? Bits - i * Part : Part;

    bnn_equal_part #(
        .Bits(Here)
    ) u_part (
        .a_i    (a_i[i*Part+:Here]),
        .b_i    (b_i[i*Part+:Here]),
        .equal_o(equal[i])
    );
  end

  assign equal_o = &equal;
endmodule
