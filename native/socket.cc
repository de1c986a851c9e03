#include "socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sluice {
namespace {

// From linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h, which need not be installed.
constexpr int kSoOriginalDst = 80;

/// Sets an integer option; notes the first failure.
void set_option(int fd, int level, int name, int value, const char* call, SocketFault& fault) {
  if (fault.error == 0 && setsockopt(fd, level, name, &value, sizeof value) != 0) fault = {call, errno};
}

void apply(int fd, int family, const SocketOptions& options, SocketFault& fault) {
  const bool is_ip = family == AF_INET || family == AF_INET6;
  const bool v6 = family == AF_INET6;
  if (options.mark >= 0) set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.mark), "SO_MARK", fault);
  if (!is_ip) return;
  if (options.no_delay) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", fault);
  if (options.keep_alive) set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE", fault);
  if (options.keep_idle_s > 0) set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, options.keep_idle_s, "TCP_KEEPIDLE", fault);
  if (options.keep_interval_s > 0) set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, options.keep_interval_s, "TCP_KEEPINTVL", fault);
  if (options.keep_probes > 0) set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keep_probes, "TCP_KEEPCNT", fault);
  if (options.transparent) {
    if (v6) set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT", fault);
    else set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT", fault);
  }
  if (options.freebind) set_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND", fault);
}

/// A socket file nobody listens on any more (a killed process leaves one) is removed; one in use stays.
void remove_stale(const SocketAddress& address) {
  const auto* unix_address = reinterpret_cast<const sockaddr_un*>(&address.storage);
  struct stat info{};
  if (unix_address->sun_path[0] == '\0' || lstat(unix_address->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.open()) return;
  if (connect(probe.get(), address.get(), address.length) != 0 && errno == ECONNREFUSED) unlink(unix_address->sun_path);
}

/// `::ffff:a.b.c.d` as the IPv4 address that it is; any other address unchanged.
SocketAddress unmapped(const SocketAddress& address) {
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  if (address.family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return address;
  SocketAddress v4;
  auto* to = reinterpret_cast<sockaddr_in*>(&v4.storage);
  to->sin_family = AF_INET;
  to->sin_port = v6->sin6_port;
  std::memcpy(&to->sin_addr, &v6->sin6_addr.s6_addr[12], sizeof to->sin_addr);
  v4.length = sizeof *to;
  return v4;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}
Fd::~Fd() { close(); }
int Fd::release() noexcept {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}
void Fd::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::optional<SocketAddress> SocketAddress::parse(const std::string& ip, uint16_t port, const std::string& path) {
  SocketAddress address;
  if (ip.empty()) {
    auto* target = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (path.empty() || path.size() >= sizeof target->sun_path) return std::nullopt;
    target->sun_family = AF_UNIX;
    std::memcpy(target->sun_path, path.data(), path.size());
    if (path[0] == '@') target->sun_path[0] = '\0';
    const bool abstract = path[0] == '@' || path[0] == '\0';
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
    return address;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof *v6;
    return address;
  }
  return std::nullopt;
}

std::string SocketAddress::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return std::string(text) + "\n" + std::to_string(ntohs(v4->sin_port));
  }
  if (family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
    else inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return std::string(text) + "\n" + std::to_string(ntohs(v6->sin6_port));
  }
  const auto* local = reinterpret_cast<const sockaddr_un*>(&storage);
  const size_t head = offsetof(sockaddr_un, sun_path);
  if (length <= head) return "\n";
  std::string path(local->sun_path, length - head);
  if (path[0] == '\0') path[0] = '@';
  else path.resize(std::min(path.size(), std::strlen(path.c_str())));
  return "\n" + path;
}

Fd open_listener(const SocketAddress& address, const SocketOptions& options, SocketFault& fault) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) {
    fault = {"socket", errno};
    return {};
  }
  if (address.family() == AF_UNIX) {
    remove_stale(address);
  } else {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", fault);
    if (options.reuse_port) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", fault);
    if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.dual_stack ? 0 : 1, "IPV6_V6ONLY", fault);
  }
  apply(fd.get(), address.family(), options, fault);  // accepted sockets inherit TCP_NODELAY and keep-alive
  if (fault.error == 0 && bind(fd.get(), address.get(), address.length) != 0) fault = {"bind", errno};
  const auto* local = reinterpret_cast<const sockaddr_un*>(&address.storage);
  if (fault.error == 0 && options.mode >= 0 && address.family() == AF_UNIX && local->sun_path[0] != '\0' &&
      chmod(local->sun_path, static_cast<mode_t>(options.mode)) != 0) {
    fault = {"chmod", errno};
  }
  if (fault.error == 0 && listen(fd.get(), options.backlog) != 0) fault = {"listen", errno};
  if (fault.error != 0) return {};
  return fd;
}

Fd start_connect(const SocketAddress& address, const SocketAddress* source, const SocketOptions& options, SocketFault& fault) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) {
    fault = {"socket", errno};
    return {};
  }
  apply(fd.get(), address.family(), options, fault);
  if (fault.error == 0 && source != nullptr) {
    // The port is chosen at connect, so that one source address can hold more connections than there are ports.
    // Not everywhere (Linux before 4.2, user-mode emulation): without it there are only fewer such connections.
    SocketFault ignored;
    set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT", ignored);
    if (fault.error == 0 && bind(fd.get(), source->get(), source->length) != 0) fault = {"bind", errno};
  }
  if (fault.error == 0 && connect(fd.get(), address.get(), address.length) != 0 && errno != EINPROGRESS) fault = {"connect", errno};
  if (fault.error != 0) return {};
  return fd;
}

std::optional<SocketAddress> original_destination(int fd, const SocketAddress& local) {
  // An IPv4 client of a dual-stack listener has a mapped address, but was redirected as IPv4.
  const SocketAddress real = unmapped(local);
  SocketAddress original;
  original.length = sizeof original.storage;
  const int level = real.family() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (getsockopt(fd, level, kSoOriginalDst, &original.storage, &original.length) != 0) return std::nullopt;
  return original.text() == real.text() ? std::nullopt : std::optional(original);
}

}  // namespace sluice
