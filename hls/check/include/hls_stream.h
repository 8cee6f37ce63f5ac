// A FIFO as the analysis sees it: every access is one volatile access of a field. The fields are read and written by nobody
// else, so that a value that was read depends on nothing that was written.
#ifndef BNN_CHECK_HLS_STREAM_H
#define BNN_CHECK_HLS_STREAM_H

namespace hls {

template <typename T>
class stream {
 public:
  stream() {}
  stream(const char*) {}
  T read() {
    const Bits bits = read_;
    T value;
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
  }
  void read(T& value) { value = read(); }
  bool read_nb(T& value) {
    const bool some = some_;
    value = read();
    return some;
  }
  void write(const T& value) {
    Bits bits;
    __builtin_memcpy(&bits, &value, sizeof(T));
    written_ = bits;
  }
  bool write_nb(const T& value) {
    const bool room = room_;
    write(value);
    return room;
  }
  bool empty() { return !some_; }
  bool full() { return !room_; }
  void operator>>(T& value) { value = read(); }
  void operator<<(const T& value) { write(value); }

 private:
  typedef unsigned _BitInt(8 * sizeof(T)) Bits;
  volatile Bits read_;
  volatile Bits written_;
  volatile bool some_;
  volatile bool room_;
  stream(const stream&);
};

}  // namespace hls

#endif
