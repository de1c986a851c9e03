// Client and server of the RPC scenarios of `npm run bench -- proxy`: one thread, epoll, frames made beforehand, so that it is never what is measured.
//   rpc_peer serve PORT LENGTH FRAME ID COPY               answers each frame with FRAME, the id copied from the request
//   rpc_peer load PORT LENGTH FRAME ID COPY CONNECTIONS DEPTH SECONDS   keeps DEPTH copies of FRAME in flight on each connection, each with an id of its own
// LENGTH says how long a received frame is: `20+u16@12+u16@14+u32@16`, big-endian fields at offsets from the frame's start. FRAME is hex, a tail of
// `xN` repeats the byte before it: `4bx128`. ID is OFFSET:BYTES of the id in a sent frame; COPY the same in a received one, or `tars:TAG`: the integer
// of that tag, as short as its sender made it.
// `load` prints: requests seconds p50_us p99_us errors user_us sys_us.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Field {
  size_t at = 0;
  size_t bytes = 0;
};
/// A sum of a number and big-endian fields.
struct Length {
  size_t fixed = 0;
  size_t head = 0;  ///< bytes that must be there to know it
  std::vector<Field> fields;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "rpc_peer: %s\n", what.c_str());
  std::exit(2);
}

Length parse_length(std::string_view text) {
  Length length;
  while (!text.empty()) {
    const size_t plus = text.find('+');
    const std::string term(text.substr(0, plus));
    text = plus == std::string_view::npos ? std::string_view{} : text.substr(plus + 1);
    if (term[0] != 'u') {
      length.fixed += std::strtoul(term.c_str(), nullptr, 10);
      continue;
    }
    const size_t at = term.find('@');
    if (at == std::string::npos) fail("no offset in " + term);
    const Field field{std::strtoul(term.c_str() + at + 1, nullptr, 10), std::strtoul(term.c_str() + 1, nullptr, 10) / 8};
    length.fields.push_back(field);
    length.head = std::max(length.head, field.at + field.bytes);
  }
  return length;
}

std::string parse_frame(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == 'x') {
      char* end = nullptr;
      const unsigned long times = std::strtoul(text.data() + i + 1, &end, 10);
      if (times == 0 || bytes.empty()) fail("a repeat of nothing");
      bytes.append(times - 1, bytes.back());
      i = static_cast<size_t>(end - text.data());
      continue;
    }
    bytes.push_back(static_cast<char>(std::strtoul(std::string(text.substr(i, 2)).c_str(), nullptr, 16)));
    i += 2;
  }
  return bytes;
}

/// `OFFSET:BYTES`, or `tars:TAG` (then `bytes` is 0).
Field parse_field(const char* text) {
  if (std::strncmp(text, "tars:", 5) == 0) return {std::strtoul(text + 5, nullptr, 10), 0};
  char* end = nullptr;
  const unsigned long at = std::strtoul(text, &end, 10);
  return {at, *end == ':' ? std::strtoul(end + 1, nullptr, 10) : 4};
}

uint64_t read_field(const uint8_t* bytes, Field field) {
  if (field.bytes == 0) {
    // Only integers come before the ids: types 0, 1, 2 (1, 2 and 4 bytes) and 12 (zero).
    for (size_t at = 4;;) {
      const uint8_t tag = bytes[at] >> 4;
      const uint8_t type = bytes[at] & 15;
      const Field value{at + 1, type == 12 ? size_t{0} : size_t{1} << type};
      if (tag == field.at) return value.bytes == 0 ? 0 : read_field(bytes, value);
      at += 1 + value.bytes;
    }
  }
  uint64_t value = 0;
  for (size_t i = 0; i < field.bytes; i++) value = value << 8 | bytes[field.at + i];
  return value;
}
void write_field(char* bytes, Field field, uint64_t value) {
  for (size_t i = 0; i < field.bytes; i++) bytes[field.at + field.bytes - 1 - i] = static_cast<char>(value >> (8 * i));
}

uint64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

struct Connection {
  int fd = -1;
  std::vector<uint8_t> in;
  size_t begin = 0;
  size_t end = 0;
  std::string out;
  size_t sent = 0;
  bool waits = false;
  std::vector<uint64_t> started;  ///< of each slot in flight
};

constexpr size_t kRoom = 256 * 1024;

/// False: the connection is over.
bool flush(Connection& connection) {
  while (connection.sent < connection.out.size()) {
    const ssize_t sent = send(connection.fd, connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    connection.sent += static_cast<size_t>(sent);
  }
  connection.out.clear();
  connection.sent = 0;
  return true;
}

/// Reads what is there and gives each whole frame to `take`. False: the connection is over.
template <typename Take>
bool receive(Connection& connection, const Length& length, Take take) {
  for (;;) {
    if (connection.in.size() - connection.end < kRoom) {
      std::memmove(connection.in.data(), connection.in.data() + connection.begin, connection.end - connection.begin);
      connection.end -= connection.begin;
      connection.begin = 0;
      connection.in.resize(std::max(connection.in.size(), connection.end + 2 * kRoom));
    }
    const size_t room = connection.in.size() - connection.end;
    const ssize_t got = recv(connection.fd, connection.in.data() + connection.end, room, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN;
    connection.end += static_cast<size_t>(got);
    for (;;) {
      const size_t there = connection.end - connection.begin;
      const uint8_t* frame = connection.in.data() + connection.begin;
      if (there < length.head) break;
      size_t total = length.fixed;
      for (const Field& field : length.fields) total += read_field(frame, field);
      if (there < total) break;
      take(frame);
      connection.begin += total;
    }
    if (connection.begin == connection.end) connection.begin = connection.end = 0;
    if (static_cast<size_t>(got) < room) return true;
  }
}

int serve(int port, const Length& length, const std::string& frame, Field id, Field copy) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 1024) != 0) fail("cannot listen");
  const int poll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  std::array<epoll_event, 256> ready{};
  for (;;) {
    const int count = epoll_wait(poll, ready.data(), ready.size(), -1);
    for (int i = 0; i < count; i++) {
      auto* connection = static_cast<Connection*>(ready[static_cast<size_t>(i)].data.ptr);
      if (connection == nullptr) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection = new Connection;  // lives until its peer leaves
        connection->fd = fd;
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.ptr = connection;
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        continue;
      }
      const bool open = receive(*connection, length, [&](const uint8_t* request) {
        const size_t at = connection->out.size();
        connection->out += frame;
        write_field(connection->out.data() + at, id, read_field(request, copy));
      });
      if (!flush(*connection) || !open) {
        close(connection->fd);
        delete connection;
      }
    }
  }
}

int load(int port, const Length& length, const std::string& frame, Field id, Field copy, size_t connections, size_t depth, double seconds) {
  const int poll = epoll_create1(0);
  std::vector<std::unique_ptr<Connection>> all;
  const int one = 1;
  for (size_t i = 0; i < connections; i++) {
    auto connection = std::make_unique<Connection>();
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, fcntl(connection->fd, F_GETFL) | O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connection.get();
    epoll_ctl(poll, EPOLL_CTL_ADD, connection->fd, &event);
    connection->started.resize(depth);
    all.push_back(std::move(connection));
  }
  uint64_t requests = 0;
  uint64_t errors = 0;
  std::vector<uint32_t> latencies;
  latencies.reserve(4'000'000);
  const uint64_t begin = now_us();
  const auto stop = begin + static_cast<uint64_t>(seconds * 1e6);
  uint64_t now = begin;
  const auto ask = [&](Connection& connection, size_t slot) {
    const size_t at = connection.out.size();
    connection.out += frame;
    write_field(connection.out.data() + at, id, slot + 1);
    connection.started[slot] = now;
  };
  for (const auto& connection : all) {
    for (size_t slot = 0; slot < depth; slot++) ask(*connection, slot);
    if (!flush(*connection)) errors++;
  }
  std::array<epoll_event, 256> ready{};
  while (now < stop) {
    const int count = epoll_wait(poll, ready.data(), ready.size(), 100);
    now = now_us();
    for (int i = 0; i < count; i++) {
      auto& connection = *static_cast<Connection*>(ready[static_cast<size_t>(i)].data.ptr);
      const bool open = receive(connection, length, [&](const uint8_t* response) {
        const uint64_t slot = read_field(response, copy) - 1;
        if (slot >= depth) {
          errors++;
          return;
        }
        requests++;
        if (latencies.size() < latencies.capacity()) latencies.push_back(static_cast<uint32_t>(now - connection.started[slot]));
        ask(connection, slot);
      });
      if (!flush(connection) || !open) {
        errors++;
        epoll_ctl(poll, EPOLL_CTL_DEL, connection.fd, nullptr);
      }
    }
  }
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  std::sort(latencies.begin(), latencies.end());
  const auto percentile = [&](double part) { return latencies.empty() ? 0U : latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))]; };
  const auto micros = [](const timeval& time) { return static_cast<unsigned long long>(time.tv_sec) * 1'000'000 + static_cast<unsigned long long>(time.tv_usec); };
  std::printf("%llu %.3f %u %u %llu %llu %llu\n", static_cast<unsigned long long>(requests), static_cast<double>(now - begin) / 1e6, percentile(0.5), percentile(0.99),
              static_cast<unsigned long long>(errors), micros(used.ru_utime), micros(used.ru_stime));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count >= 7 && std::string_view(arguments[1]) == "serve") {
    return serve(std::atoi(arguments[2]), parse_length(arguments[3]), parse_frame(arguments[4]), parse_field(arguments[5]), parse_field(arguments[6]));
  }
  if (count >= 10 && std::string_view(arguments[1]) == "load") {
    return load(std::atoi(arguments[2]), parse_length(arguments[3]), parse_frame(arguments[4]), parse_field(arguments[5]), parse_field(arguments[6]),
                std::strtoul(arguments[7], nullptr, 10), std::strtoul(arguments[8], nullptr, 10), std::strtod(arguments[9], nullptr));
  }
  fail("serve PORT LENGTH FRAME ID COPY | load PORT LENGTH FRAME ID COPY CONNECTIONS DEPTH SECONDS");
}
