// Thin wrappers of the socket calls the engine needs. Every failure is a value (errno), none throws.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// A file descriptor that is closed when it goes.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept;
  void close() noexcept;

 private:
  int fd_ = -1;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  /// `ip` empty: `path` of a Unix socket, a leading `@` or NUL for the abstract namespace. Nullopt: not an address.
  [[nodiscard]] static std::optional<SocketAddress> parse(const std::string& ip, uint16_t port, const std::string& path);
  /// Text form: "ip\nport", or "\npath" for a Unix socket. IPv4 mapped into IPv6 is shown as IPv4.
  [[nodiscard]] std::string text() const;
};

struct SocketOptions {
  bool no_delay = true;
  bool keep_alive = false;
  int keep_idle_s = 0;
  int keep_interval_s = 0;
  int keep_probes = 0;
  int64_t mark = -1;
  bool transparent = false;
  bool freebind = false;
  bool reuse_port = false;
  bool dual_stack = false;
  int backlog = 1024;
  int mode = -1;
};

/// What a failed call says: which call, and errno.
struct SocketFault {
  const char* call = nullptr;
  int error = 0;
};

/// Opens, binds and listens. A stale Unix socket file goes first, but only if nobody listens on it.
[[nodiscard]] Fd open_listener(const SocketAddress& address, const SocketOptions& options, SocketFault& fault);
/// Opens a socket and starts to connect. The result may still be on its way (EINPROGRESS).
[[nodiscard]] Fd start_connect(const SocketAddress& address, const SocketAddress* source, const SocketOptions& options, SocketFault& fault);
/// Where the connection was going before netfilter redirected it; nullopt where that is unknown or the same as `local`.
[[nodiscard]] std::optional<SocketAddress> original_destination(int fd, const SocketAddress& local);

}  // namespace sluice
