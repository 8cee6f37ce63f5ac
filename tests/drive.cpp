// Drives the inputs of units that the module `rules` holds, through VPI, from a script on the standard input.
//
// A line is a clock cycle: `unit.port=hex ...` sets inputs, which stay so; `wait unit.port=hex` takes as many cycles
// as it takes, at most 2000. A line `release` ends the reset, in which assertions are off.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

#include "Vrules.h"
#include "verilated.h"
#include "verilated_vpi.h"

namespace {

vpiHandle find(const std::string& name) {
  const std::string path = "TOP.rules." + name;
  vpiHandle handle = vpi_handle_by_name(const_cast<PLI_BYTE8*>(path.c_str()), nullptr);
  if (!handle) {
    std::fprintf(stderr, "no signal %s\n", path.c_str());
    std::exit(2);
  }
  return handle;
}

void split(const std::string& word, std::string* name, std::string* value) {
  const size_t at = word.find('=');
  *name = word.substr(0, at);
  *value = word.substr(at + 1);
}

unsigned long read(const std::string& name) {
  s_vpi_value value;
  value.format = vpiHexStrVal;
  vpi_get_value(find(name), &value);
  return std::strtoul(value.value.str, nullptr, 16);
}

}  // namespace

int main(int argc, char** argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  context.assertOn(false);
  context.errorLimit(1000);  // goes on after an assertion has fired
  Vrules top(&context);
  top.rst = 1;
  const auto cycle = [&] {
    for (int edge = 0; edge < 2; ++edge) {
      top.clk = edge;
      top.eval();
      context.timeInc(1);
    }
  };
  top.clk = 0;
  top.eval();
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word, name, text;
    bool waits = false;
    for (int n = 0; words >> word; ++n) {
      if (word == "release") {
        top.rst = 0;
        context.assertOn(true);
      } else if (word == "wait") {
        waits = true;
      } else {
        split(word, &name, &text);
        if (waits) break;
        s_vpi_value value;
        value.format = vpiHexStrVal;
        value.value.str = &text[0];
        vpi_put_value(find(name), &value, nullptr, vpiNoDelay);
      }
    }
    if (waits) {
      for (int n = 0; read(name) != std::strtoul(text.c_str(), nullptr, 16); ++n) {
        if (n == 2000) {
          std::fprintf(stderr, "%s is not %s after 2000 cycles\n", name.c_str(), text.c_str());
          return 3;
        }
        cycle();
      }
    } else {
      cycle();
    }
  }
  top.final();
  return 0;
}
