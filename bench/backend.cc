// The server behind the proxies in `npm run bench -- proxy`: one thread, epoll, answers made beforehand, so that it is never what is measured.
//   backend PORT        GET /128, /10k, /1m: a body of that size; any request body is read and thrown away
// It knows as much of HTTP/1.1 as a proxy sends: keep-alive, Content-Length, chunked (skipped to its last chunk), `Connection: close`.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <strings.h>
#include <unordered_map>
#include <vector>

namespace {

struct Connection {
  std::string in;
  size_t body_left = 0;
  bool chunked = false;
  bool close_after = false;
  std::string out;
  size_t sent = 0;
  bool waits = false;
};

std::string answer(size_t body_bytes, bool close) {
  std::string text = "HTTP/1.1 200 OK\r\nx-backend: h1\r\ncontent-type: text/plain\r\ncontent-length: " + std::to_string(body_bytes) + "\r\n";
  if (close) text += "connection: close\r\n";
  text += "\r\n";
  text.append(body_bytes, 'x');
  return text;
}

// [size][close]
const std::array<std::array<std::string, 2>, 3> kAnswers = {{{answer(128, false), answer(128, true)},
                                                            {answer(10 * 1024, false), answer(10 * 1024, true)},
                                                            {answer(1024 * 1024, false), answer(1024 * 1024, true)}}};

/// Value of a header in `head`, or empty. `name` in lower case with colon.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos && at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() < name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0) continue;
    std::string_view value = line.substr(name.size(), line.find("\r\n") - name.size());
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

/// Takes whole requests off `in` and queues their answers.
void serve(Connection& connection) {
  size_t at = 0;
  std::string& in = connection.in;
  while (at < in.size() && !connection.close_after) {
    if (connection.body_left > 0) {
      const size_t taken = std::min(connection.body_left, in.size() - at);
      connection.body_left -= taken;
      at += taken;
      if (connection.body_left > 0) break;
      continue;
    }
    if (connection.chunked) {
      const size_t end = in.find("0\r\n\r\n", at);
      if (end == std::string::npos) {
        at = in.size() > 4 ? std::max(at, in.size() - 4) : at;
        break;
      }
      at = end + 5;
      connection.chunked = false;
      continue;
    }
    const size_t end = in.find("\r\n\r\n", at);
    if (end == std::string::npos) break;
    const std::string_view head(in.data() + at, end + 2 - at);
    at = end + 4;
    const size_t path = head.find(' ') + 1;
    const std::string_view target = head.substr(path, head.find(' ', path) - path);
    if (head.front() != 'G') {
      const std::string_view length = header(head, "content-length:");
      connection.body_left = length.empty() ? 0 : std::strtoull(length.data(), nullptr, 10);
      connection.chunked = !header(head, "transfer-encoding:").empty();
    }
    const std::string_view option = header(head, "connection:");
    connection.close_after = option == "close" || option == "Close";
    const size_t size = target.starts_with("/10k") ? 1 : target.starts_with("/1m") ? 2 : 0;
    connection.out += kAnswers[size][connection.close_after ? 1 : 0];
  }
  in.erase(0, at);
}

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
  return !connection.close_after;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "backend PORT\n");
    return 2;
  }
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 4096) != 0) {
    std::perror("backend");
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
          serve(connection);
        }
      }
      if (alive) alive = send_out(epoll, fd, connection);
      if (!alive) {
        close(fd);
        connections.erase(fd);
      }
    }
  }
}
