// Feeds the files that are named to what a fuzzer would feed: for compilers that come without one.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **paths) {
  for (int n = 1; n < count; n++) {
    std::ifstream in(paths[n], std::ios::binary);
    const std::vector<char> content(std::istreambuf_iterator<char>(in), {});
    std::fprintf(stderr, "%s\n", paths[n]);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(content.data()), content.size());
  }
}
