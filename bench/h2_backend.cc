// The HTTP/2 server behind the proxies in `npm run bench -- proxy`: one thread, epoll, answers made beforehand, so that it is never what is measured.
//   h2_backend PORT BODY_BYTES http|grpc     every request whose end has come: 200 with that many bytes; grpc: one message of them, and trailers
// It never looks into a header block, so it needs no HPACK decoder; its own blocks are fixed: the first answer of a connection puts its fields into the table,
// the others name them there; a peer without a table gets them in full. SIGUSR1 prints `open N`: requests whose end has not come. What it cannot do (a peer with tiny windows) ends it, loudly.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kWindowUpdate = 8, kContinuation = 9;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr uint32_t kStreams = 100;
constexpr uint32_t kWindow = 1 << 30;

volatile std::sig_atomic_t shows_open = 0;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "h2_backend: %s\n", what);
  std::exit(1);
}

void put32(std::string& out, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift));
}
uint32_t get32(const char* at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at);
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 | static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}
void put_frame(std::string& out, uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  put32(out, static_cast<uint32_t>(payload.size()) << 8 | type);
  out.push_back(static_cast<char>(flags));
  put32(out, stream);
  out += payload;
}

/// How an answer is written: the first of a connection, those after it, or one for a peer without a table.
enum class Form { kFirst, kLater, kPlain };

/// A field; with incremental indexing but in the plain form. All strings here are below 127 bytes.
std::string literal(Form form, std::string_view name, std::string_view value) {
  std::string out(1, form == Form::kPlain ? '\0' : '\x40');
  (out += static_cast<char>(name.size())) += name;
  (out += static_cast<char>(value.size())) += value;
  return out;
}

/// An answer as frames of stream 0, and where their stream ids are.
struct Answer {
  std::string bytes;
  std::vector<size_t> ids;
};

Answer make_answer(size_t body_bytes, bool grpc, Form form) {
  Answer answer;
  const auto add = [&](uint8_t type, uint8_t flags, std::string_view payload) {
    answer.ids.push_back(answer.bytes.size() + 5);
    put_frame(answer.bytes, type, flags, 0, payload);
  };
  // The newest entry is 62. After the first answer: [grpc-status,] x-backend, content-length or not, content-type.
  const std::string update = form == Form::kPlain ? "\x20" : "";
  std::string head = update + "\x88";
  if (form != Form::kLater) {
    head += literal(form, "content-type", grpc ? "application/grpc" : "text/plain");
    if (!grpc) head += literal(form, "content-length", std::to_string(body_bytes));
    head += literal(form, "x-backend", "h2");
  } else {
    for (const char entry : {'\x40', '\x3f', '\x3e'}) head += static_cast<char>(0x80 | entry);
    // Of gRPC these are content-type, x-backend and grpc-status: the last belongs to the trailers.
    if (grpc) head.pop_back();
  }
  add(kHeaders, kEndHeaders, head);
  std::string body;
  if (grpc) {
    body.push_back('\0');
    put32(body, static_cast<uint32_t>(body_bytes));
  }
  body.append(body_bytes, 'x');
  add(kData, grpc ? 0 : kEndStream, body);
  const std::string trailers = form == Form::kLater ? std::string(1, static_cast<char>(0xbe)) : update + literal(form, "grpc-status", "0");
  if (grpc) add(kHeaders, kEndHeaders | kEndStream, trailers);
  return answer;
}

struct Connection {
  std::string in;
  std::string out;
  size_t sent = 0;
  bool waits = false;
  bool greeted = false;
  Form form = Form::kFirst;
  /// What the peer takes on all streams.
  int64_t window = 65535;
  uint32_t unreturned = 0;
  /// The stream whose header block is not whole, and whether it ends.
  uint32_t block_stream = 0;
  bool block_ends = false;
  std::unordered_set<uint32_t> open;
  std::deque<uint32_t> waiting;
};

class Server {
 public:
  Server(size_t body_bytes, bool grpc)
      : data_bytes_(body_bytes + (grpc ? 5 : 0)), answers_{make_answer(body_bytes, grpc, Form::kFirst), make_answer(body_bytes, grpc, Form::kLater), make_answer(body_bytes, grpc, Form::kPlain)} {
    std::string settings;
    for (const auto& [id, value] : {std::pair<uint16_t, uint32_t>{3, kStreams}, {4, kWindow}}) {
      settings.push_back(static_cast<char>(id >> 8));
      settings.push_back(static_cast<char>(id));
      put32(settings, value);
    }
    put_frame(greeting_, kSettings, 0, 0, settings);
    put_update(greeting_, kWindow - 65535);
  }

  size_t open() const { return open_; }
  void forget(const Connection& connection) { open_ -= connection.open.size(); }

  /// Takes whole frames off `in` and queues what answers them. False: the bytes are not HTTP/2.
  bool serve(Connection& connection) {
    std::string& in = connection.in;
    size_t at = 0;
    if (!connection.greeted) {
      if (in.size() < kPreface.size()) return kPreface.starts_with(in);
      if (!in.starts_with(kPreface)) return false;
      at = kPreface.size();
      connection.greeted = true;
      connection.out += greeting_;
    }
    while (in.size() - at >= 9) {
      const uint32_t length = get32(in.data() + at) >> 8;
      if (in.size() - at < 9 + length) break;
      take(connection, static_cast<uint8_t>(in[at + 3]), static_cast<uint8_t>(in[at + 4]), get32(in.data() + at + 5) & 0x7fffffff,
           std::string_view(in).substr(at + 9, length));
      at += 9 + length;
    }
    in.erase(0, at);
    while (!connection.waiting.empty() && connection.window >= data_bytes_) {
      answer(connection, connection.waiting.front());
      connection.waiting.pop_front();
    }
    return true;
  }

 private:
  static void put_update(std::string& out, uint32_t increment) {
    std::string payload;
    put32(payload, increment);
    put_frame(out, kWindowUpdate, 0, 0, payload);
  }

  void take(Connection& connection, uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
    switch (type) {
      case kHeaders:
        connection.block_stream = stream;
        connection.block_ends = (flags & kEndStream) != 0;
        [[fallthrough]];
      case kContinuation:
        if ((flags & kEndHeaders) == 0) return;
        if (connection.block_ends) return finish(connection, connection.block_stream);
        if (connection.open.insert(connection.block_stream).second) open_++;
        return;
      case kData:
        connection.unreturned += static_cast<uint32_t>(payload.size());
        if (connection.unreturned > kWindow / 2) {
          put_update(connection.out, connection.unreturned);
          connection.unreturned = 0;
        }
        if ((flags & kEndStream) != 0) finish(connection, stream);
        return;
      case kReset:
        open_ -= connection.open.erase(stream);
        std::erase(connection.waiting, stream);
        return;
      case kSettings:
        if ((flags & kAck) != 0) return;
        for (; payload.size() >= 6; payload.remove_prefix(6)) {
          const uint32_t id = static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]);
          const uint32_t value = get32(payload.data() + 2);
          if (id == 1 && value < 1024) connection.form = Form::kPlain;
          if (id == 4 && value < data_bytes_) fail("a stream window of the peer is smaller than an answer");
        }
        put_frame(connection.out, kSettings, kAck, 0, {});
        return;
      case kPing:
        if ((flags & kAck) == 0) put_frame(connection.out, kPing, kAck, 0, payload);
        return;
      case kWindowUpdate:
        if (stream == 0 && payload.size() == 4) connection.window += get32(payload.data()) & 0x7fffffff;
        return;
      default:
        return;
    }
  }

  void finish(Connection& connection, uint32_t stream) {
    open_ -= connection.open.erase(stream);
    if (connection.window < data_bytes_ || !connection.waiting.empty()) connection.waiting.push_back(stream);
    else answer(connection, stream);
  }

  void answer(Connection& connection, uint32_t stream) {
    const Answer& answer = answers_[static_cast<size_t>(connection.form)];
    if (connection.form == Form::kFirst) connection.form = Form::kLater;
    connection.window -= data_bytes_;
    const size_t start = connection.out.size();
    connection.out += answer.bytes;
    const uint32_t id = htonl(stream);
    for (const size_t at : answer.ids) std::memcpy(connection.out.data() + start + at, &id, 4);
  }

  int64_t data_bytes_;
  std::array<Answer, 3> answers_;
  std::string greeting_;
  size_t open_ = 0;
};

/// False: the connection is over.
bool send_out(int epoll, int fd, Connection& connection) {
  while (connection.sent < connection.out.size()) {
    const ssize_t count = send(fd, connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN) return false;
      if (!connection.waits) {
        epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.fd = fd}};
        epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
        connection.waits = true;
      }
      return true;
    }
    connection.sent += static_cast<size_t>(count);
  }
  connection.out.clear();
  connection.sent = 0;
  if (connection.waits) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    connection.waits = false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || std::atoi(argv[2]) > 16000) {
    std::fprintf(stderr, "h2_backend PORT BODY_BYTES http|grpc   (at most 16000 bytes: one frame)\n");
    return 2;
  }
  Server server(static_cast<size_t>(std::atoi(argv[2])), std::string_view(argv[3]) == "grpc");
  struct sigaction action {};
  action.sa_handler = [](int) { shows_open = 1; };
  sigaction(SIGUSR1, &action, nullptr);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 4096) != 0) {
    std::perror("h2_backend");
    return 1;
  }
  const int epoll = epoll_create1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  std::unordered_map<int, std::unique_ptr<Connection>> connections;
  std::vector<char> buffer(256 * 1024);
  std::array<epoll_event, 256> events{};
  for (;;) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    if (shows_open != 0) {
      shows_open = 0;
      std::printf("open %zu\n", server.open());
      std::fflush(stdout);
    }
    for (int i = 0; i < count; i++) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener) {
        for (int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); accepted >= 0; accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) {
          epoll_event added{.events = EPOLLIN, .data = {.fd = accepted}};
          epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &added);
          connections[accepted] = std::make_unique<Connection>();
        }
        continue;
      }
      Connection& connection = *connections[fd];
      bool alive = true;
      if ((events[static_cast<size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) alive = false;
        if (got > 0) {
          connection.in.append(buffer.data(), static_cast<size_t>(got));
          alive = server.serve(connection);
        }
      }
      if (alive) alive = send_out(epoll, fd, connection);
      if (!alive) {
        server.forget(connection);
        close(fd);
        connections.erase(fd);
      }
    }
  }
}
