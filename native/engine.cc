#include "engine.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice {

using http1::BodyFraming;
using http1::BodyReader;
using http1::HeadParser;
using http1::OutHead;

namespace {

constexpr uint32_t kIndexBits = 20;
constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
constexpr uint32_t kGenerationMask = (1U << 11) - 1;
constexpr uint64_t kListenerTag = uint64_t{1} << 40;
constexpr uint64_t kWakerTag = uint64_t{1} << 41;

constexpr size_t kScratchBytes = 128 * 1024;
/// Below this a body piece is copied and leaves with the rest of the batch; above, it is written at once without a copy.
constexpr size_t kDirectBytes = 8 * 1024;
/// How long the last output of a closing connection may make no progress.
constexpr double kFlushMs = 30'000;
/// How long nothing is accepted after an accept failed for want of descriptors or memory.
constexpr double kAcceptRetryMs = 100;
/// EPOLLPRI: a read stops at urgent data, so that it may be short although more has come.
constexpr uint32_t kConnectionEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
constexpr size_t kInspectBytes = 64 * 1024;
/// What one connection may read in one turn before the others have theirs.
constexpr size_t kReadBudget = 1024 * 1024;
constexpr int kMaxRounds = 8;
constexpr int kReadyEvents = 256;
/// The last part of the arena belongs to `head()`.
constexpr size_t kExtraShare = 4;

constexpr uint8_t kTimerNone = 0;
constexpr uint8_t kTimerConnect = 1;
constexpr uint8_t kTimerIdle = 2;
constexpr uint8_t kTimerHead = 3;
constexpr uint8_t kTimerLinger = 4;
constexpr uint8_t kTimerDiscard = 5;  ///< an answered request whose body is still thrown away

/// What a connection's input is at.
enum class Rx : uint8_t {
  kIdle,     // upstream: nothing asked; any byte is unexpected
  kHead,     // a head is awaited
  kPending,  // a head waits for a decision
  kBody,     // its body is moved (or held, or thrown away)
  kDone,     // the message is over, the exchange is not
  kRaw,      // opaque bytes
  kInspect,  // bytes are shown and kept
  kFaulted,  // broken: nothing is read any more
  kLinger,   // answered and shut: the rest is thrown away
  kEof,      // raw: the peer's FIN was passed on
  kBytes,    // bytes are handed out as they come
  kFrames,   // frames are
};
/// What a connection's output is at.
enum class Tx : uint8_t { kIdle, kBody, kDone };

double monotonic_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1000.0 + static_cast<double>(now.tv_nsec) / 1e6;
}

int32_t at(std::span<const int32_t> table, int word) noexcept { return table[static_cast<size_t>(word)]; }

int64_t content_length(std::span<const int32_t> table) noexcept {
  const int32_t high = at(table, layout::kHeadLengthHigh);
  if (high < 0) return -1;
  return (static_cast<int64_t>(high) << 32) | static_cast<uint32_t>(at(table, layout::kHeadLengthLow));
}

}  // namespace

namespace {
/// What the input of a connection that was just accepted is at.
Rx first_rx(FramingKind framing) noexcept {
  switch (framing) {
    case FramingKind::kRaw:
      return Rx::kRaw;
    case FramingKind::kInspect:
      return Rx::kInspect;
    case FramingKind::kHttp1:
      return Rx::kHead;
    case FramingKind::kBytes:
      return Rx::kBytes;
    case FramingKind::kFrames:
      return Rx::kFrames;
  }
  return Rx::kRaw;
}

bool has_frames(const Profile& profile) noexcept { return profile.framing == FramingKind::kBytes || profile.framing == FramingKind::kFrames; }
}  // namespace

/// What is kept of a request so that it can be sent again.
struct Retained {
  std::vector<uint8_t> head;
  std::vector<uint8_t> body;
};

struct Engine::Connection : TimerNode {
  Connection(BlockPool& pool, Fd socket, const Profile& how) noexcept : fd(std::move(socket)), profile(&how), in(pool), out(pool) {}

  Handle handle = kNoHandle;
  Fd fd;
  const Profile* profile;
  Buffer in;
  Buffer out;
  Rx rx = Rx::kIdle;
  Tx tx = Tx::kIdle;
  uint8_t timer_kind = kTimerNone;
  bool connecting = false;
  bool readable = false;
  bool writable = true;
  bool hup = false;           ///< FIN was announced: a short read does not mean that nothing more comes
  bool urgent = false;        ///< urgent data has come: neither does it then
  bool eof = false;
  bool read_blocked = false;  ///< the other side's output is above its watermark
  bool paused = false;
  bool held = false;
  bool discard = false;
  bool queued = false;
  bool dirty = false;
  bool keep_alive = false;
  bool close_after = false;
  bool closing = false;
  bool shut_after_flush = false;
  bool shut = false;
  bool client_http11 = true;
  bool expects_continue = false;
  bool original_dst = false;
  bool peeked_eof = false;
  bool ended = false;
  bool tell_drained = false;  ///< kDrained is owed
  bool partial = false;       ///< a frame that is not whole was shown, and waits for what becomes of it
  bool wants_whole = false;   ///< the next frame is not shown before it is whole
  bool told = false;  ///< kClosed was delivered: the slot may be used again
  BodyFraming out_framing = BodyFraming::kNone;
  Handle rx_to = kNoHandle;
  Handle tx_from = kNoHandle;
  http1::RequestContext request;
  BodyReader body;
  std::unique_ptr<HeadParser> parser;
  std::unique_ptr<Retained> retained;
  uint64_t received = 0;
  uint64_t sent = 0;
  uint64_t message_bytes = 0;
  uint64_t linger_left = 0;
  uint64_t frame_left = 0;  ///< bytes of a frame that is cut through to `rx_to`, or thrown away
  int write_error = 0;  ///< nothing more can be written, but what the peer had sent may still be there to read
  size_t peeked = 0;  ///< bytes of an inspected connection that were shown
  double idle_ms = 0;

  [[nodiscard]] bool is_downstream() const noexcept { return profile->side == Side::kDownstream; }
  /// An upstream that was asked, and whose response has not been taken whole: what it has sent counts, even before a reset.
  [[nodiscard]] bool is_answering() const noexcept { return !is_downstream() && (rx == Rx::kHead || rx == Rx::kPending || rx == Rx::kBody); }
  /// Where the head's table points into.
  [[nodiscard]] const uint8_t* head_base() const noexcept { return rx == Rx::kPending ? in.data() : retained->head.data(); }
};

struct Engine::Listener {
  Fd fd;
  Handle handle = kNoHandle;
  const Profile* profile = nullptr;
  bool original_dst = false;
  bool held = false;  ///< not watched until `accept_retry_`
  int max_accepts = 64;
};

namespace {
void add_to(double* counter, uint64_t bytes) noexcept {
  if (counter != nullptr) *counter += static_cast<double>(bytes);
}
}  // namespace

void Engine::count_received(Connection& connection, size_t bytes) noexcept {
  connection.received += bytes;
  add_to(connection.profile->wire_received, bytes);
}

void Engine::count_sent(Connection& connection, size_t bytes) noexcept {
  connection.sent += bytes;
  add_to(connection.profile->wire_sent, bytes);
}

// ---- life ---------------------------------------------------------------------------------------------------------------------------------

Engine::Engine(std::span<uint8_t> arena, Sink& sink)
    : arena_(arena), sink_(&sink), epoll_(epoll_create1(EPOLL_CLOEXEC)), waker_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), scratch_(kScratchBytes) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakerTag;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker_.get(), &event);
  events_.reserve(kMaxEvents);
  delivering_.reserve(kMaxEvents);
  arena_extra_ = arena_.size() - arena_.size() / kExtraShare;
  refresh_clock();
}

Engine::~Engine() = default;

void Engine::refresh_clock() noexcept { now_ms_ = monotonic_ms(); }

double Engine::next_timer_ms() const noexcept { return wheel_.next_ms(now_ms_); }

int Engine::add_profile(const Profile& profile) {
  const size_t head = profile.limits.max_head_bytes + 16 + (layout::kHeadFields + size_t{layout::kFieldWords} * profile.limits.max_headers) * sizeof(int32_t);
  if (head > arena_.size() / kExtraShare) return -1;
  if (profile.frames != nullptr && profile.frames->max_frame_bytes() + profile.frames->table_words() * sizeof(int32_t) + 8 > arena_.size() - arena_.size() / kExtraShare) return -1;
  max_head_ = std::max(max_head_, head);
  profiles_.push_back(profile);
  return static_cast<int>(profiles_.size() - 1);
}

Engine::Connection* Engine::find(Handle handle) const noexcept {
  const auto index = static_cast<uint32_t>(handle) & kIndexMask;
  if (index >= slots_.size()) return nullptr;
  Connection* connection = slots_[index].get();
  return connection != nullptr && connection->handle == handle && !connection->ended ? connection : nullptr;
}

Engine::Connection& Engine::open_slot(Fd fd, const Profile& profile) {
  uint32_t index = 0;
  uint32_t generation = 1;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
    generation = ((static_cast<uint32_t>(slots_[index]->handle) >> kIndexBits) + 1) & kGenerationMask;
    if (generation == 0) generation = 1;
  }
  slots_[index] = std::make_unique<Connection>(pool_, std::move(fd), profile);
  Connection& connection = *slots_[index];
  connection.handle = static_cast<Handle>((generation << kIndexBits) | index);
  connection.idle_ms = profile.idle_ms;
  ++open_;
  return connection;
}

// ---- events -------------------------------------------------------------------------------------------------------------------------------

void Engine::emit(EventKind kind, Handle handle, int32_t a, int32_t b, int32_t c, int32_t d) {
  events_.push_back({kind, handle, a, b, c, d});
  schedule();
}

/// Commands given between two wake-ups: makes the poll descriptor readable, so that `wake` comes.
void Engine::schedule() {
  if (awake_ || scheduled_) return;
  scheduled_ = true;
  const uint64_t one = 1;
  // An eventfd write of 1 fails only when the counter is full, and then it is readable already.
  [[maybe_unused]] const auto written = ::write(waker_.get(), &one, sizeof one);
}

size_t Engine::arena_room() const noexcept {
  const size_t end = arena_.size() - arena_.size() / kExtraShare;
  return end > arena_events_ ? end - arena_events_ : 0;
}

bool Engine::arena_fits(size_t bytes) const noexcept { return arena_events_ + bytes <= arena_.size() - arena_.size() / kExtraShare; }

void Engine::deliver() {
  for (int round = 0; !events_.empty() && round < kMaxRounds; round++) {
    std::swap(events_, delivering_);
    const auto ended = std::exchange(ended_, {});
    for (size_t from = 0; from < delivering_.size(); from += kMaxEvents) {
      sink_->deliver(std::span(delivering_).subspan(from, std::min(kMaxEvents, delivering_.size() - from)));
    }
    delivering_.clear();
    arena_events_ = 0;
    for (const uint32_t index : ended) {
      slots_[index]->told = true;
      free_.push_back(index);
    }
  }
}

const char* Engine::fault_name(int32_t number) const noexcept {
  return number >= 0 && static_cast<size_t>(number) < fault_names_.size() ? fault_names_[static_cast<size_t>(number)] : "";
}

int32_t Engine::fault_number(const char* name) {
  const auto known = std::find(fault_names_.begin(), fault_names_.end(), name);
  if (known != fault_names_.end()) return static_cast<int32_t>(known - fault_names_.begin());
  fault_names_.push_back(name);
  return static_cast<int32_t>(fault_names_.size() - 1);
}

/// Copies a head and its table into the arena, offsets turned into the arena's. Answers the table's first word, or -1 without room.
int32_t Engine::place_head(const Connection& connection, bool in_batch) {
  const auto table = connection.parser->table();
  const size_t skipped = connection.parser->skipped();
  const auto head_bytes = static_cast<size_t>(at(table, layout::kHeadHeadBytes));
  const size_t needed = ((head_bytes + 3) & ~size_t{3}) + table.size_bytes();
  const size_t extra_from = arena_.size() - arena_.size() / kExtraShare;
  size_t& cursor = in_batch ? arena_events_ : arena_extra_;
  if (!in_batch && cursor + needed > arena_.size()) cursor = extra_from;
  if (cursor + needed > (in_batch ? extra_from : arena_.size())) return -1;
  const size_t bytes_at = cursor;
  cursor += needed;
  std::memcpy(arena_.data() + bytes_at, connection.head_base() + skipped, head_bytes);
  const size_t table_at = bytes_at + ((head_bytes + 3) & ~size_t{3});
  auto* words = reinterpret_cast<int32_t*>(arena_.data() + table_at);
  std::memcpy(words, table.data(), table.size_bytes());
  const auto shift = static_cast<int32_t>(bytes_at) - static_cast<int32_t>(skipped);
  words[layout::kHeadMethod] += shift;
  words[layout::kHeadTarget] += shift;
  words[layout::kHeadAuthority] += shift;
  words[layout::kHeadPath] += shift;
  for (size_t word = layout::kHeadFields; word + 3 < table.size(); word += layout::kFieldWords) {
    words[word] += shift;
    words[word + 2] += shift;
  }
  return static_cast<int32_t>(table_at / sizeof(int32_t));
}

// ---- readiness ----------------------------------------------------------------------------------------------------------------------------

void Engine::wake() {
  awake_ = true;
  std::array<epoll_event, kReadyEvents> ready{};
  for (int round = 0; round < kMaxRounds; round++) {
    const int count = epoll_wait(epoll_.get(), ready.data(), kReadyEvents, 0);
    refresh_clock();
    for (int i = 0; i < count; i++) {
      const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
      if (!arena_fits(max_head_ + kInspectBytes) || events_.size() + 8 > kMaxEvents) deliver();
      if (tag == kWakerTag) {
        uint64_t wakes = 0;
        [[maybe_unused]] const auto got = ::read(waker_.get(), &wakes, sizeof wakes);
        scheduled_ = false;
      } else if ((tag & kListenerTag) != 0) {
        const auto index = static_cast<size_t>(tag & kIndexMask);
        if (listeners_[index] != nullptr) accept_some(*listeners_[index]);
      } else if (Connection* connection = find(static_cast<Handle>(tag)); connection != nullptr) {
        on_ready(*connection, ready[static_cast<size_t>(i)].events);
      }
    }
    std::swap(ready_, working_);
    for (const Handle handle : working_) {
      if (!arena_fits(max_head_ + kInspectBytes) || events_.size() + 8 > kMaxEvents) deliver();
      if (Connection* connection = find(handle); connection != nullptr) {
        connection->queued = false;
        run(*connection);
      }
    }
    working_.clear();
    wheel_.advance(now_ms_, [this](TimerNode& node) {
      if (&node == &accept_retry_) release_accepts();
      else on_timer(static_cast<Connection&>(node));
    });
    deliver();
    std::swap(dirty_, working_);
    for (const Handle handle : working_) {
      if (Connection* connection = find(handle); connection != nullptr) {
        connection->dirty = false;
        flush(*connection);
      }
    }
    working_.clear();
    if (count == 0 && ready_.empty() && events_.empty() && dirty_.empty()) break;
  }
  awake_ = false;
  if (!ready_.empty() || !events_.empty() || !dirty_.empty()) schedule();
}

void Engine::accept_some(Listener& listener) {
  for (int i = 0; i < listener.max_accepts && listener.fd.open(); i++) {
    Fd fd(accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.open()) {
      // ECONNABORTED and the like concern one connection. Out of descriptors or memory: the queue stays readable, and asking at once again would
      // only spin.
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) hold_accepts(listener);
      return;
    }
    if (slots_.size() > kIndexMask && free_.empty()) return;
    Connection& connection = open_slot(std::move(fd), *listener.profile);
    connection.rx = first_rx(listener.profile->framing);
    connection.original_dst = listener.original_dst;
    epoll_event event{};
    event.events = kConnectionEvents;
    event.data.u64 = static_cast<uint32_t>(connection.handle);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event) != 0) {
      connection.ended = true;
      connection.fd.close();
      --open_;
      free_.push_back(static_cast<uint32_t>(connection.handle) & kIndexMask);
      return;
    }
    touch(connection);
    emit(EventKind::kAccept, connection.handle, listener.handle);
  }
}

void Engine::watch(const Listener& listener, bool wanted) {
  epoll_event event{};
  if (wanted) event.events = EPOLLIN;
  event.data.u64 = kListenerTag | static_cast<uint32_t>(listener.handle - 1);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener.fd.get(), &event);
}

void Engine::hold_accepts(Listener& listener) {
  listener.held = true;
  watch(listener, false);
  wheel_.start(accept_retry_, now_ms_, now_ms_ + kAcceptRetryMs);
}

void Engine::release_accepts() {
  for (const auto& listener : listeners_) {
    if (listener == nullptr || !listener->held) continue;
    listener->held = false;
    watch(*listener, true);
  }
}

void Engine::on_ready(Connection& connection, uint32_t bits) {
  if (connection.connecting) {
    if ((bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    finish_connect(connection);
    if (connection.ended || connection.connecting) return;
  }
  if ((bits & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.readable = true;
  if ((bits & EPOLLPRI) != 0) connection.urgent = true;
  if ((bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.hup = true;
  if ((bits & EPOLLERR) != 0 && !wants_input(connection) && !connection.is_answering()) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(connection.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    fail_io(connection, error == 0 ? ECONNRESET : error);
    return;
  }
  if ((bits & EPOLLOUT) != 0 && !connection.writable) {
    connection.writable = true;
    flush(connection);
    if (connection.ended) return;
  }
  run(connection);
}

void Engine::finish_connect(Connection& connection) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(connection.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == EINPROGRESS) return;
  if (error != 0) {
    fail_io(connection, error);
    return;
  }
  connection.connecting = false;
  disarm(connection);
  touch(connection);
  emit(EventKind::kConnected, connection.handle);
  if (!connection.out.empty() || connection.closing || connection.shut_after_flush) mark_dirty(connection);
}

bool Engine::wants_input(const Connection& connection) const noexcept {
  if (connection.eof || connection.connecting || connection.paused || (connection.closing && connection.rx != Rx::kLinger)) return false;
  switch (connection.rx) {
    case Rx::kIdle:
    case Rx::kLinger:
      return true;
    case Rx::kHead:
      return !connection.read_blocked;
    case Rx::kBody:
      return !connection.held && !connection.read_blocked && (connection.rx_to != kNoHandle || connection.discard);
    case Rx::kRaw:
      return !connection.read_blocked && connection.rx_to != kNoHandle;
    case Rx::kInspect:
      return connection.in.size() < kInspectBytes;
    case Rx::kBytes:
      return connection.in.empty();
    case Rx::kFrames:
      // Queued: whole frames wait for room in the batch.
      return !connection.read_blocked && !connection.queued && !connection.partial;
    case Rx::kPending:
    case Rx::kDone:
    case Rx::kFaulted:
    case Rx::kEof:
      return false;
  }
  return false;
}

/// Takes what is buffered, then reads, until there is nothing to do or the turn's budget is spent.
void Engine::run(Connection& connection) {
  const uint64_t start = connection.received;
  consume(connection);
  while (!connection.ended && connection.readable && wants_input(connection)) {
    if (connection.received - start > kReadBudget) {
      enqueue(connection);
      return;
    }
    if (!receive(connection)) break;
  }
  if (!connection.ended && connection.eof && eof_counts(connection)) on_eof(connection);
  // Drained, and between two requests.
  if (connection.close_after && connection.rx == Rx::kHead && connection.is_downstream() && connection.in.empty() && !connection.ended && !connection.closing) {
    start_closing(connection);
  }
}

/// One `recv`. False: nothing came.
bool Engine::receive(Connection& connection) {
  const bool streams = (connection.rx == Rx::kBody || connection.rx == Rx::kRaw || connection.rx == Rx::kLinger || connection.rx == Rx::kFrames) && connection.in.empty();
  const auto room = streams ? std::span(scratch_) : connection.in.room(connection.in.empty() ? BlockPool::kBlockBytes : 4096);
  ssize_t got = 0;
  do {
    got = recv(connection.fd.get(), room.data(), room.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    if (!streams && connection.in.empty()) connection.in.clear();
    if (connection.write_error != 0) {
      fail_io(connection, connection.write_error);
      return false;
    }
    if (got == 0) {
      connection.eof = true;
      connection.readable = false;
      if (eof_counts(connection)) on_eof(connection);
      return false;
    }
    connection.readable = false;
    if (errno != EAGAIN && errno != EWOULDBLOCK) fail_io(connection, errno);
    return false;
  }
  const auto count = static_cast<size_t>(got);
  count_received(connection, count);
  if (count < room.size() && !connection.hup && !connection.urgent) connection.readable = false;
  if (!streams) {
    connection.in.filled(count);
    consume(connection);
    return true;
  }
  if (connection.rx == Rx::kLinger) {
    if (count >= connection.linger_left) finish(connection, CloseReason::kLinger, 0);
    else connection.linger_left -= count;
    return true;
  }
  const auto bytes = std::span<const uint8_t>(scratch_).first(count);
  const bool in_frames = connection.rx == Rx::kFrames;
  const size_t taken = in_frames ? take_frames(connection, bytes) : pump_bytes(connection, bytes);
  if (!connection.ended && taken < count && connection.rx != Rx::kFaulted) {
    connection.in.append(bytes.subspan(taken));
    if (!in_frames) consume(connection);
  }
  return true;
}

/// Acts on buffered bytes as the state of the input asks for.
void Engine::consume(Connection& connection) {
  if (connection.ended || connection.paused || (connection.closing && connection.rx != Rx::kLinger)) return;
  switch (connection.rx) {
    case Rx::kHead:
      if (!connection.in.empty() && !connection.read_blocked) read_head(connection);
      return;
    case Rx::kBody:
    case Rx::kRaw:
      while (!connection.in.empty() && !connection.read_blocked && !connection.held && (connection.rx == Rx::kBody || connection.rx == Rx::kRaw)) {
        if (connection.rx_to == kNoHandle && !connection.discard) return;
        const size_t taken = pump_bytes(connection, connection.in.bytes());
        if (connection.ended) return;
        connection.in.consume(taken);
        if (taken == 0) return;
      }
      return;
    case Rx::kInspect:
      if (connection.peeked == connection.in.size() && connection.eof == connection.peeked_eof) return;
      if (!arena_fits(connection.in.size() + 4)) {
        enqueue(connection);  // shown in the next round, when this one's events have been delivered
        return;
      }
      {
        connection.peeked = connection.in.size();
        connection.peeked_eof = connection.eof;
        const size_t where = arena_events_;
        std::memcpy(arena_.data() + where, connection.in.data(), connection.in.size());
        arena_events_ += (connection.in.size() + 3) & ~size_t{3};
        emit(EventKind::kPeek, connection.handle, static_cast<int32_t>(where), static_cast<int32_t>(connection.in.size()), connection.eof ? 1 : 0);
      }
      return;
    case Rx::kFrames:
      if (!connection.in.empty() && !connection.read_blocked) connection.in.consume(take_frames(connection, connection.in.bytes()));
      return;
    case Rx::kBytes: {
      if (connection.in.empty()) return;
      // All of it, or what fits: the rest in the next round, when this one's events have been delivered.
      const size_t room = arena_room() & ~size_t{3};
      const size_t count = std::min(connection.in.size(), room);
      if (events_.size() + 8 > kMaxEvents || count == 0) {
        enqueue(connection);
        return;
      }
      const size_t where = arena_events_;
      std::memcpy(arena_.data() + where, connection.in.data(), count);
      arena_events_ += (count + 3) & ~size_t{3};
      connection.in.consume(count);
      touch(connection);
      emit(EventKind::kBytes, connection.handle, static_cast<int32_t>(where), static_cast<int32_t>(count));
      if (!connection.in.empty()) enqueue(connection);
      return;
    }
    case Rx::kIdle:
      if (!connection.in.empty()) finish(connection, CloseReason::kUnexpected, 0);
      return;
    case Rx::kLinger:
      connection.in.clear();
      return;
    case Rx::kPending:
    case Rx::kDone:
    case Rx::kFaulted:
    case Rx::kEof:
      return;
  }
}

/// Whether the peer's FIN is next: everything before it was taken, or it cuts a head short.
bool Engine::eof_counts(const Connection& connection) noexcept {
  return connection.in.empty() || connection.rx == Rx::kHead || connection.rx == Rx::kInspect || (connection.rx == Rx::kFrames && !connection.queued && !connection.partial && !connection.read_blocked);
}

/// The peer's FIN, once everything before it has been dealt with.
void Engine::on_eof(Connection& connection) {
  switch (connection.rx) {
    case Rx::kHead:
      if (connection.parser != nullptr && connection.parser->started()) {
        finish(connection, CloseReason::kTruncated, 0);
      } else if (connection.out.empty() || !connection.is_downstream()) {
        finish(connection, CloseReason::kRemote, 0);
      } else {
        start_closing(connection);
      }
      return;
    case Rx::kIdle:
    case Rx::kBytes:
      finish(connection, CloseReason::kRemote, 0);
      return;
    case Rx::kFrames:
      finish(connection, connection.in.empty() && connection.frame_left == 0 ? CloseReason::kRemote : CloseReason::kTruncated, 0);
      return;
    case Rx::kBody:
      if (connection.held) return;
      if (connection.body.mid_message()) finish(connection, CloseReason::kTruncated, 0);
      else body_done(connection, true, 0);
      return;
    case Rx::kRaw: {
      if (connection.rx_to == kNoHandle) return;
      connection.rx = Rx::kEof;
      if (Connection* to = find(connection.rx_to); to != nullptr) {
        to->shut_after_flush = true;
        mark_dirty(*to);
      }
      if (connection.shut) finish(connection, CloseReason::kRemote, 0);
      return;
    }
    case Rx::kInspect:
      consume(connection);
      return;
    case Rx::kLinger:
      finish(connection, CloseReason::kLinger, 0);
      return;
    case Rx::kDone:
      if (!connection.is_downstream()) finish(connection, CloseReason::kRemote, 0);
      return;
    case Rx::kPending:
    case Rx::kFaulted:
    case Rx::kEof:
      return;
  }
}

void Engine::enqueue(Connection& connection) {
  if (connection.queued || connection.ended) return;
  connection.queued = true;
  ready_.push_back(connection.handle);
  schedule();
}

// ---- messages -----------------------------------------------------------------------------------------------------------------------------

void Engine::read_head(Connection& connection) {
  if (connection.parser == nullptr) {
    if (parsers_.empty()) {
      connection.parser = std::make_unique<HeadParser>();
    } else {
      connection.parser = std::move(parsers_.back());
      parsers_.pop_back();
    }
    connection.parser->reset(!connection.is_downstream());
  }
  HeadParser& parser = *connection.parser;
  switch (parser.parse(connection.in.bytes(), connection.profile->limits)) {
    case http1::Parsed::kMore:
      if (connection.is_downstream() && parser.started() && connection.timer_kind != kTimerHead) {
        if (connection.profile->head_ms > 0) arm(connection, kTimerHead, connection.profile->head_ms);
        else touch(connection);
      }
      return;
    case http1::Parsed::kFault:
      fault(connection, parser.fault(), false);
      return;
    case http1::Parsed::kHead:
      break;
  }
  const auto table = parser.table();
  const int32_t flags = at(table, layout::kHeadFlags);
  connection.rx = Rx::kPending;
  connection.keep_alive = (flags & layout::kFlagKeepAlive) != 0;
  connection.message_bytes = 0;
  if (connection.is_downstream()) {
    connection.client_http11 = (flags & layout::kFlagHttp11) != 0;
    connection.expects_continue = (flags & layout::kFlagExpectContinue) != 0;
    connection.request = {(flags & layout::kFlagHeadMethod) != 0, (flags & layout::kFlagConnect) != 0, (flags & layout::kFlagUpgrade) != 0, connection.client_http11};
  }
  disarm(connection);
  emit(EventKind::kHead, connection.handle, place_head(connection, true));
}

void Engine::fault(Connection& connection, const http1::Fault& fault, bool in_body) {
  connection.rx = Rx::kFaulted;
  connection.close_after = true;
  disarm(connection);
  emit(EventKind::kFault, connection.handle, fault_number(fault.code), static_cast<int32_t>(fault.offset), fault.status, in_body ? 1 : 0);
}

void Engine::drop_head(Connection& connection) {
  if (connection.parser == nullptr) return;
  if (parsers_.size() < BlockPool::kMaxFree) parsers_.push_back(std::move(connection.parser));
  connection.parser.reset();
}

void Engine::drop_retained(Connection& connection) {
  if (connection.retained == nullptr) return;
  connection.retained.reset();
  drop_head(connection);
}

int32_t Engine::head(Handle handle) {
  Connection* connection = find(handle);
  if (connection == nullptr || connection->parser == nullptr) return -1;
  if (connection->rx != Rx::kPending && connection->retained == nullptr) return -1;
  return place_head(*connection, false);
}

/// Moves body bytes of a message on; answers how many of `input` were taken.
size_t Engine::pump_bytes(Connection& connection, std::span<const uint8_t> input) {
  const Handle handle = connection.handle;
  if (connection.rx == Rx::kRaw) {
    touch(connection);
    if (Connection* to = find(connection.rx_to); to != nullptr) {
      touch(*to);
      send_or_queue(*to, input);
      if (!to->ended && to->out.size() > to->profile->high_water) connection.read_blocked = true;
    }
    return input.size();
  }
  size_t taken = 0;
  while (true) {
    const BodyReader::Piece piece = connection.body.next(input.subspan(taken));
    taken += piece.consumed;
    if (piece.kind == BodyReader::Piece::Kind::kFault) {
      fault(connection, piece.fault, true);
      return taken;
    }
    if (!piece.data.empty()) {
      connection.message_bytes += piece.data.size();
      if (connection.retained != nullptr) {
        auto& kept = connection.retained->body;
        if (kept.size() + piece.data.size() <= connection.profile->max_retain) kept.insert(kept.end(), piece.data.begin(), piece.data.end());
        else drop_retained(connection);
      }
      if (Connection* to = find(connection.rx_to); to != nullptr) {
        put_body(*to, piece.data, to->out_framing);
        if (find(handle) == nullptr) return taken;
        if (!to->ended && to->out.size() > to->profile->high_water) connection.read_blocked = true;
      }
    }
    if (piece.kind == BodyReader::Piece::Kind::kEnd) {
      body_done(connection, true, input.size() - taken);
      return taken;
    }
    if (piece.kind == BodyReader::Piece::Kind::kMore || taken == input.size()) {
      if (piece.kind == BodyReader::Piece::Kind::kMore) return taken;
      // Data used the input up; whether the message ends here is known without another byte.
      if (connection.rx == Rx::kBody && !connection.body.mid_message()) {
        const BodyReader::Piece last = connection.body.next({});
        if (last.kind == BodyReader::Piece::Kind::kEnd) body_done(connection, true, input.size() - taken);
      }
      return taken;
    }
  }
}

/// The last byte of a message has been moved (or thrown away); `unread` bytes that came behind it wait.
void Engine::body_done(Connection& from, bool announce, size_t unread) {
  from.rx = Rx::kDone;
  from.read_blocked = false;
  from.held = false;
  const bool thrown_away = std::exchange(from.discard, false);
  if (Connection* to = find(from.rx_to); to != nullptr) {
    if (to->out_framing == BodyFraming::kChunked) {
      head_out_.clear();
      http1::write_last_chunk(from.body.trailers(), head_out_);
      to->out.append(head_out_);
      mark_dirty(*to);
    }
    to->tx = Tx::kDone;
    to->tx_from = kNoHandle;
    from.rx_to = kNoHandle;
    if (!from.is_downstream()) exchange_done(*to);
  }
  moved_bytes_ = from.message_bytes;
  int flags = kForwardDone;
  if (from.is_downstream()) {
    if (from.tx == Tx::kDone) exchange_done(from);
  } else if (from.tx == Tx::kDone && from.keep_alive && !from.eof && !from.hup && from.write_error == 0 && !from.close_after && unread == 0) {
    from.rx = Rx::kIdle;
    from.tx = Tx::kIdle;
    touch(from);
    if (from.readable) enqueue(from);  // bytes that nobody asked for are seen before the next request goes out
    flags |= kForwardReusable;
  }
  if (announce && !thrown_away) {
    emit(EventKind::kEnd, from.handle, static_cast<int32_t>(from.message_bytes & 0xffffffff), static_cast<int32_t>(from.message_bytes >> 32), flags);
  }
}

/// Downstream: on to the next request, or to the end, once both directions are through.
void Engine::exchange_done(Connection& connection) {
  if (connection.tx != Tx::kDone || connection.ended || connection.closing) return;
  if (connection.rx == Rx::kBody && connection.discard && !connection.close_after) return;
  drop_retained(connection);
  if (connection.rx != Rx::kDone || connection.close_after || connection.eof) {
    start_closing(connection);
    return;
  }
  connection.rx = Rx::kHead;
  connection.tx = Tx::kIdle;
  connection.message_bytes = 0;
  disarm(connection);
  touch(connection);
  if (connection.out.size() > connection.profile->high_water) {
    // A client that asks on and on and takes no answer: its next request is not read before its own output has shrunk.
    connection.read_blocked = true;
    connection.tx_from = connection.handle;
  } else if (!connection.in.empty() || connection.readable) {
    enqueue(connection);
  }
}

int Engine::forward(Handle from_handle, Handle to_handle, const EditsRef& edits) {
  Connection* from = find(from_handle);
  Connection* to = find(to_handle);
  if (from == nullptr || to == nullptr || from->parser == nullptr || from->closing || to->closing || from->profile->framing != FramingKind::kHttp1 ||
      to->profile->framing != FramingKind::kHttp1 || from->profile->side == to->profile->side) {
    return kForwardStale;
  }
  return from->is_downstream() ? forward_request(*from, *to, edits) : forward_response(*from, *to, edits);
}

int Engine::forward_request(Connection& from, Connection& to, const EditsRef& edits) {
  const bool again = from.rx != Rx::kPending;
  if (again && (from.retained == nullptr || (from.rx != Rx::kBody && from.rx != Rx::kDone))) return kForwardStale;
  if (from.tx != Tx::kIdle || to.rx != Rx::kIdle || to.tx != Tx::kIdle || to.eof) return kForwardStale;
  const auto table = from.parser->table();
  const int32_t flags = at(edits.ints, layout::kEditFlags);
  if (!again) {
    const BodyFraming framing = from.body.start(table, nullptr);
    from.out_framing = framing == BodyFraming::kNone && content_length(table) == 0 ? BodyFraming::kLength : framing;
  }
  // `out_framing` of the downstream side holds the request's own framing until the response begins.
  const BodyFraming framing = from.out_framing;
  OutHead how;
  how.framing = framing;
  how.content_length = content_length(table);
  how.close = (flags & layout::kEditFlagClose) != 0;
  how.upgrade = (flags & layout::kEditFlagUpgrade) != 0;
  head_out_.clear();
  http1::write_head(table, from.head_base(), edits.ints, edits.bytes.data(), how, head_out_);
  to.out.append(head_out_);
  mark_dirty(to);
  disarm(to);
  to.request = from.request;
  to.request.is_upgrade = how.upgrade;
  to.rx = Rx::kHead;
  to.tx = Tx::kBody;
  to.out_framing = framing;
  to.close_after = how.close;
  to.tx_from = from.handle;
  if (Connection* before = find(from.rx_to); before != nullptr) before->tx_from = kNoHandle;
  from.rx_to = to.handle;
  from.read_blocked = false;
  if (again) {
    put_body(to, from.retained->body, framing);
    if (to.ended) return kForwardStale;
    if (from.rx == Rx::kDone) {
      moved_bytes_ = from.message_bytes;
      if (framing == BodyFraming::kChunked) {
        head_out_.clear();
        http1::write_last_chunk(from.body.trailers(), head_out_);
        to.out.append(head_out_);
      }
      to.tx = Tx::kDone;
      to.tx_from = kNoHandle;
      from.rx_to = kNoHandle;
      return kForwardDone;
    }
    enqueue(from);
    return kForwardOpen;
  }
  const size_t head_bytes = from.parser->skipped() + static_cast<size_t>(at(table, layout::kHeadHeadBytes));
  if ((flags & layout::kEditFlagRetain) != 0) {
    from.retained = std::make_unique<Retained>();
    from.retained->head.assign(from.in.data(), from.in.data() + head_bytes);
  }
  from.rx = Rx::kBody;
  from.in.consume(head_bytes);
  if (from.retained == nullptr) drop_head(from);
  from.held = (flags & layout::kEditFlagHoldBody) != 0;
  start_body(from, to);
  return from.rx == Rx::kDone ? kForwardDone : kForwardOpen;
}

int Engine::forward_response(Connection& from, Connection& to, const EditsRef& edits) {
  if (from.rx != Rx::kPending || to.tx != Tx::kIdle || (to.rx != Rx::kBody && to.rx != Rx::kDone)) return kForwardStale;
  const auto table = from.parser->table();
  const int32_t flags = at(edits.ints, layout::kEditFlags);
  const int32_t changed = at(edits.ints, layout::kEditStatus);
  const int32_t received = at(table, layout::kHeadStatus);
  const int32_t status = changed != 0 ? changed : received;
  const size_t head_bytes = from.parser->skipped() + static_cast<size_t>(at(table, layout::kHeadHeadBytes));
  OutHead how;
  if (received == 101 && (flags & layout::kEditFlagTunnel) == 0) return kForwardStale;
  if (received < 200 && received != 101) {
    if (to.client_http11) {
      head_out_.clear();
      http1::write_head(table, from.head_base(), edits.ints, edits.bytes.data(), how, head_out_);
      to.out.append(head_out_);
      mark_dirty(to);
      if (to.out.size() > to.profile->high_water) {
        from.read_blocked = true;
        to.tx_from = from.handle;
      }
    }
    from.in.consume(head_bytes);
    drop_head(from);
    from.rx = Rx::kHead;
    if (!from.in.empty() || from.readable) enqueue(from);
    if (status == 100 && to.held) release_body(to.handle);
    return kForwardDone;
  }
  drop_retained(to);
  if ((flags & layout::kEditFlagTunnel) != 0) {
    how.upgrade = received == 101;
    head_out_.clear();
    http1::write_head(table, from.head_base(), edits.ints, edits.bytes.data(), how, head_out_);
    to.out.append(head_out_);
    mark_dirty(to);
    from.in.consume(head_bytes);
    drop_head(from);
    begin_tunnel(from, to);
    return kForwardDone;
  }
  const BodyFraming framing = from.body.start(table, &from.request);
  if (framing == BodyFraming::kUntilClose) from.keep_alive = false;
  how.framing = framing == BodyFraming::kUntilClose ? BodyFraming::kChunked : framing;
  if (how.framing == BodyFraming::kChunked && !to.client_http11) how.framing = BodyFraming::kUntilClose;
  how.content_length = content_length(table);
  if (to.rx != Rx::kDone || !to.keep_alive || (flags & layout::kEditFlagClose) != 0 || how.framing == BodyFraming::kUntilClose || to.eof) to.close_after = true;
  how.close = to.close_after;
  how.keep_alive = !how.close && !to.client_http11;
  head_out_.clear();
  http1::write_head(table, from.head_base(), edits.ints, edits.bytes.data(), how, head_out_);
  to.out.append(head_out_);
  mark_dirty(to);
  to.tx = Tx::kBody;
  to.out_framing = how.framing;
  to.tx_from = from.handle;
  from.rx_to = to.handle;
  from.rx = Rx::kBody;
  from.in.consume(head_bytes);
  drop_head(from);
  start_body(from, to);
  if (from.ended) return kForwardOpen;
  if (from.rx == Rx::kIdle) return kForwardDone | kForwardReusable;
  return from.rx == Rx::kDone ? kForwardDone : kForwardOpen;
}

/// Moves what has already arrived of a body whose head was just sent. An end found here is told by `forward`'s answer, not by an event.
void Engine::start_body(Connection& from, Connection& to) {
  const BodyFraming framing = to.out_framing;
  if (framing == BodyFraming::kNone || (framing == BodyFraming::kLength && from.body.remaining() == 0)) {
    body_done(from, false, from.in.size());
    return;
  }
  if (from.held) return;
  const size_t before = events_.size();
  consume(from);
  if (!from.ended && from.rx == Rx::kBody && from.eof && from.in.empty()) on_eof(from);
  if (from.rx != Rx::kBody && !events_.empty() && events_.size() > before && events_.back().kind == EventKind::kEnd && events_.back().handle == from.handle) events_.pop_back();
  if (!from.ended && from.rx == Rx::kBody && from.readable) enqueue(from);
}

void Engine::release_body(Handle handle) {
  Connection* connection = find(handle);
  if (connection == nullptr || !connection->held) return;
  connection->held = false;
  enqueue(*connection);
}

bool Engine::can_replay(Handle handle) const {
  const Connection* connection = find(handle);
  return connection != nullptr && connection->tx == Tx::kIdle && (connection->retained != nullptr || connection->rx == Rx::kPending);
}

bool Engine::reply(Handle handle, const EditsRef& edits, std::span<const uint8_t> body) {
  Connection* found = find(handle);
  if (found == nullptr || !found->is_downstream() || found->profile->framing != FramingKind::kHttp1 || found->tx != Tx::kIdle || found->closing) return false;
  Connection& connection = *found;
  const int32_t status = at(edits.ints, layout::kEditStatus);
  OutHead how;
  if (status < 200) {
    if (connection.client_http11) {
      head_out_.clear();
      http1::write_head({}, nullptr, edits.ints, edits.bytes.data(), how, head_out_);
      connection.out.append(head_out_);
      mark_dirty(connection);
    }
    connection.expects_continue = false;
    return true;
  }
  if (connection.rx != Rx::kPending && connection.rx != Rx::kBody && connection.rx != Rx::kDone && connection.rx != Rx::kFaulted) {
    // A time-out while a head was on its way: answered, then closed.
    if (connection.rx != Rx::kHead) return false;
    connection.close_after = true;
    connection.rx = Rx::kFaulted;
  }
  disarm(connection);
  if (Connection* to = find(connection.rx_to); to != nullptr) to->tx_from = kNoHandle;
  connection.rx_to = kNoHandle;
  if (connection.rx == Rx::kPending) {
    const auto table = connection.parser->table();
    const BodyFraming framing = connection.body.start(table, nullptr);
    const size_t head_bytes = connection.parser->skipped() + static_cast<size_t>(at(table, layout::kHeadHeadBytes));
    connection.in.consume(head_bytes);
    drop_head(connection);
    connection.rx = framing == BodyFraming::kNone || (framing == BodyFraming::kLength && connection.body.remaining() == 0) ? Rx::kDone : Rx::kBody;
  }
  drop_retained(connection);
  if (connection.rx == Rx::kBody) discard_body(connection);
  if ((at(edits.ints, layout::kEditFlags) & layout::kEditFlagClose) != 0 || !connection.keep_alive || connection.eof) connection.close_after = true;
  const bool bodiless = status == 204 || status == 304;
  how.framing = bodiless ? BodyFraming::kNone : BodyFraming::kLength;
  how.content_length = bodiless ? -1 : static_cast<int64_t>(body.size());
  how.close = connection.close_after;
  how.keep_alive = !how.close && !connection.client_http11;
  head_out_.clear();
  http1::write_head({}, nullptr, edits.ints, edits.bytes.data(), how, head_out_);
  connection.out.append(head_out_);
  if (!bodiless && !connection.request.is_head) connection.out.append(body);
  mark_dirty(connection);
  connection.tx = Tx::kDone;
  connection.out_framing = BodyFraming::kNone;
  exchange_done(connection);
  return true;
}

/// The rest of a request that was answered here: thrown away where that is cheap, else the connection closes after the answer.
void Engine::discard_body(Connection& connection) {
  connection.held = false;
  connection.read_blocked = false;
  connection.discard = true;
  const Handle handle = connection.handle;
  consume(connection);
  if (find(handle) == nullptr || connection.rx != Rx::kBody) return;
  const uint64_t left = connection.body.remaining();
  if (left == 0 || left > connection.profile->linger_bytes || connection.expects_continue) {
    connection.close_after = true;
  } else {
    if (connection.profile->linger_ms > 0) arm(connection, kTimerDiscard, connection.profile->linger_ms);
    enqueue(connection);
  }
}

void Engine::begin_tunnel(Connection& a, Connection& b) {
  for (auto [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    one->rx = Rx::kRaw;
    one->tx = Tx::kBody;
    one->rx_to = other->handle;
    one->tx_from = other->handle;
    one->read_blocked = false;
    one->held = false;
    drop_head(*one);
    touch(*one);
    enqueue(*one);
  }
}

void Engine::relay(Handle a, Handle b) {
  Connection* one = find(a);
  Connection* other = find(b);
  if (one == nullptr || other == nullptr || one == other || one->closing || other->closing) return;
  if (one->rx == Rx::kIdle) one->rx = Rx::kRaw;
  if (other->rx == Rx::kIdle) other->rx = Rx::kRaw;
  begin_tunnel(*one, *other);
}

bool Engine::write(Handle handle, std::span<const uint8_t> bytes) {
  Connection* connection = find(handle);
  if (connection == nullptr || connection->closing) return false;
  const bool frames = has_frames(*connection->profile);
  if (frames && connection->tx_from != kNoHandle) return false;  // in the middle of a frame
  if (frames && !has_room(*connection)) {
    if (!connection->ended) fail_io(*connection, ENOBUFS);
    return false;
  }
  connection->out.append(bytes);
  if (frames) touch(*connection);
  mark_dirty(*connection);
  if (!frames && connection->out.size() > 2 * connection->profile->high_water) {
    fail_io(*connection, ENOBUFS);
    return false;
  }
  if (connection->out.size() <= connection->profile->high_water) return true;
  connection->tell_drained = true;
  return false;
}

/// May one more frame be queued? What waits is what the peer has not taken, this frame not counted: the receiver of a large one has done nothing wrong.
/// A client has asked for all that waits for it: two of the largest frames are no reason to give it up.
/// An upstream connection has many who feed it, each of which may be a batch above the watermark before it is stopped.
bool Engine::has_room(Connection& connection) {
  const Profile& profile = *connection.profile;
  if (connection.out.size() <= profile.high_water) return true;
  flush(connection);
  const size_t limit = profile.side == Side::kUpstream ? 16 * profile.high_water + arena_.size() : 2 * (profile.high_water + profile.max_frame);
  return !connection.ended && connection.out.size() <= limit;
}

/// Moves what has come of a frame that is cut through. Answers how much that was.
size_t Engine::pump_frame(Connection& connection, std::span<const uint8_t> input) {
  const size_t count = static_cast<size_t>(std::min<uint64_t>(connection.frame_left, input.size()));
  connection.frame_left -= count;
  const Handle target = connection.rx_to;
  if (Connection* to = find(target); to != nullptr) {
    if (connection.frame_left == 0) {
      to->tx_from = kNoHandle;
      connection.rx_to = kNoHandle;
    } else if (to->out.size() + count > to->profile->high_water) {
      connection.read_blocked = true;
    }
    touch(*to);
    send_or_queue(*to, input.first(count));
    // It may have gone out at once.
    if (connection.read_blocked && (to->ended || to->out.size() <= to->profile->high_water)) connection.read_blocked = false;
  }
  if (connection.frame_left == 0) emit(EventKind::kEnd, connection.handle, 0, 0, 2);
  return count;
}

/// Announces the whole frames at the front of `input`, each copied into the arena behind its table. Answers how many bytes they have.
size_t Engine::take_frames(Connection& connection, std::span<const uint8_t> input) {
  const FrameFraming& framing = *connection.profile->frames;
  const size_t table_bytes = framing.table_words() * sizeof(int32_t);
  size_t taken = 0;
  touch(connection);
  while (taken < input.size() && !connection.partial && !connection.read_blocked) {
    if (events_.size() + 8 > kMaxEvents || arena_room() < table_bytes) {
      enqueue(connection);  // in the next round, when this one's events have been delivered
      break;
    }
    if (connection.frame_left > 0) {
      taken += pump_frame(connection, input.subspan(taken));
      if (connection.ended) return input.size();
      continue;
    }
    const FrameDecoder& decoder = connection.wants_whole ? framing.whole() : framing.decoder();
    const std::span table(reinterpret_cast<int32_t*>(arena_.data() + arena_events_), framing.table_words());
    const Decoded found = decoder.decode(input.subspan(taken), table);
    if (found.kind == Decoded::Kind::kMore) break;
    if (found.kind == Decoded::Kind::kFault) {
      connection.rx = Rx::kFaulted;
      emit(EventKind::kFault, connection.handle, found.code, found.offset, 400, 0);
      return input.size();
    }
    const auto bytes = static_cast<size_t>(table[frame::kFrameShown]);
    const size_t padded = (bytes + 3) & ~size_t{3};
    if (arena_room() < table_bytes + padded) {
      enqueue(connection);
      break;
    }
    const size_t frame_at = arena_events_ + table_bytes;
    std::memcpy(arena_.data() + frame_at, input.data() + taken, bytes);
    table[frame::kFrameStart] = static_cast<int32_t>(frame_at);
    emit(EventKind::kFrame, connection.handle, static_cast<int32_t>(arena_events_ / sizeof(int32_t)));
    arena_events_ = frame_at + padded;
    connection.wants_whole = false;
    if (found.kind == Decoded::Kind::kPartial) {
      // Its bytes stay until it is known what becomes of them.
      connection.partial = true;
      break;
    }
    taken += bytes;
  }
  return taken;
}

int Engine::send_frame(Handle from, Handle to, int32_t table_word, uint32_t id_low, uint32_t id_high) {
  // The sender may have ended since: its frames were whole.
  const auto index = static_cast<uint32_t>(from) & kIndexMask;
  const Connection* source = index < slots_.size() ? slots_[index].get() : nullptr;
  Connection* target = find(to);
  if (source == nullptr || source->handle != from || source->profile->frames == nullptr || target == nullptr || target->closing) return kSendStale;
  const FrameFraming& framing = *source->profile->frames;
  const auto table_at = static_cast<size_t>(table_word) * sizeof(int32_t);
  const size_t table_bytes = framing.table_words() * sizeof(int32_t);
  if (table_word < 0 || table_at + table_bytes > arena_.size()) return kSendStale;
  const std::span<const int32_t> table(reinterpret_cast<const int32_t*>(arena_.data() + table_at), framing.table_words());
  const int32_t start = table[frame::kFrameStart];
  const int32_t bytes = table[frame::kFrameShown];
  const int32_t left = table[frame::kFrameBytes] - bytes;
  if (target->tx_from != kNoHandle) return kSendStale;
  // One that is cut through ties the two connections together.
  Connection* const sender = left > 0 ? find(from) : nullptr;
  if (left > 0 && (sender == nullptr || !sender->partial || sender->in.size() < static_cast<size_t>(std::max(0, bytes)))) return kSendStale;
  if (start < 0 || bytes <= 0 || static_cast<size_t>(start) + static_cast<size_t>(bytes) > arena_.size()) return kSendStale;
  const auto count = static_cast<size_t>(bytes);
  if (!has_room(*target)) {
    // The upstream connection serves others as well: it is this request that fails.
    if (!target->ended && target->is_downstream()) fail_io(*target, ENOBUFS);
    return kSendStale;
  }
  const auto room = target->out.room(count).first(count);
  std::memcpy(room.data(), arena_.data() + start, count);
  framing.decoder().patch_id(room, table, id_low, id_high);
  target->out.filled(count);
  touch(*target);
  mark_dirty(*target);
  if (sender != nullptr) {
    sender->in.consume(count);
    sender->partial = false;
    sender->frame_left = static_cast<uint64_t>(left);
    sender->rx_to = to;
    target->tx_from = from;
    enqueue(*sender);
    return kSendDone;
  }
  if (target->out.size() <= target->profile->high_water) return kSendDone;
  target->tell_drained = true;
  return kSendDone | kSendAbove;
}

void Engine::want_whole(Handle handle) {
  Connection* connection = find(handle);
  if (connection == nullptr || !connection->partial) return;
  connection->partial = false;
  connection->wants_whole = true;
  enqueue(*connection);
}

void Engine::adopt(Handle handle, int profile, size_t skip) {
  Connection* connection = find(handle);
  if (connection == nullptr || connection->rx != Rx::kInspect || profile < 0 || static_cast<size_t>(profile) >= profiles_.size()) return;
  connection->profile = &profiles_[static_cast<size_t>(profile)];
  connection->idle_ms = connection->profile->idle_ms;
  // What came while it was looked at is its new owner's.
  add_to(connection->profile->wire_received, connection->received);
  connection->in.consume(std::min(skip, connection->in.size()));
  connection->rx = connection->profile->framing == FramingKind::kInspect ? Rx::kRaw : first_rx(connection->profile->framing);
  disarm(*connection);
  touch(*connection);
  enqueue(*connection);
}

// ---- output -------------------------------------------------------------------------------------------------------------------------------

void Engine::mark_dirty(Connection& connection) {
  if (connection.dirty || connection.ended) return;
  connection.dirty = true;
  dirty_.push_back(connection.handle);
  schedule();
}

void Engine::put_body(Connection& to, std::span<const uint8_t> data, BodyFraming framing) {
  if (data.empty()) return;
  if (framing != BodyFraming::kChunked) {
    send_or_queue(to, data);
    return;
  }
  head_out_.clear();
  http1::write_chunk_head(data.size(), head_out_);
  to.out.append(head_out_);
  send_or_queue(to, data);
  if (to.ended) return;
  constexpr std::array<uint8_t, 2> kCrlf{'\r', '\n'};
  to.out.append(kCrlf);
  mark_dirty(to);
}

/// Large pieces go out at once, together with what was queued before them and without a copy; small ones join the batch.
void Engine::send_or_queue(Connection& to, std::span<const uint8_t> data) {
  if (to.write_error != 0) return;
  if (data.size() < kDirectBytes || !to.writable || to.connecting) {
    to.out.append(data);
    mark_dirty(to);
    return;
  }
  std::array<iovec, 2> parts{};
  size_t count = 0;
  const auto queued = to.out.bytes();
  // writev's iovec is not const-correct; the kernel only reads.
  if (!queued.empty()) parts[count++] = {const_cast<uint8_t*>(queued.data()), queued.size()};
  parts[count++] = {const_cast<uint8_t*>(data.data()), data.size()};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  ssize_t sent = 0;
  do {
    sent = sendmsg(to.fd.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      fail_output(to, errno);
      return;
    }
    sent = 0;
  }
  auto gone = static_cast<size_t>(sent);
  count_sent(to, gone);
  if (gone < queued.size() + data.size()) to.writable = false;
  const size_t of_queue = std::min(gone, queued.size());
  const size_t of_data = gone - of_queue;
  if (of_queue > 0) to.out.consume(of_queue);
  if (of_data < data.size()) to.out.append(data.subspan(of_data));
}

void Engine::flush(Connection& connection) {
  if (connection.connecting) return;
  if (connection.write_error != 0) connection.out.clear();
  while (!connection.out.empty() && connection.writable) {
    const auto bytes = connection.out.bytes();
    const ssize_t sent = send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        fail_output(connection, errno);
        return;
      }
      connection.writable = false;
      break;
    }
    count_sent(connection, static_cast<size_t>(sent));
    if (connection.closing) arm(connection, kTimerLinger, kFlushMs);
    if (static_cast<size_t>(sent) < bytes.size()) connection.writable = false;
    connection.out.consume(static_cast<size_t>(sent));
  }
  after_output(connection);
}

void Engine::after_output(Connection& connection) {
  if (connection.out.size() <= connection.profile->high_water / 2 && connection.tx_from != kNoHandle) {
    if (Connection* from = find(connection.tx_from); from != nullptr && from->read_blocked) {
      from->read_blocked = false;
      enqueue(*from);
    }
  }
  if (connection.tell_drained && connection.out.size() <= connection.profile->high_water / 2) {
    connection.tell_drained = false;
    emit(EventKind::kDrained, connection.handle);
  }
  if (!connection.out.empty()) return;
  if (connection.closing) {
    start_linger(connection);
  } else if (connection.shut_after_flush && !connection.shut) {
    connection.shut = true;
    shutdown(connection.fd.get(), SHUT_WR);
    if (connection.rx == Rx::kEof) finish(connection, CloseReason::kRemote, 0);
  }
}

// ---- ends ---------------------------------------------------------------------------------------------------------------------------------

bool Engine::close(Handle handle, CloseHow how) {
  Connection* connection = find(handle);
  if (connection == nullptr) return false;
  if (how == CloseHow::kReset) {
    const linger abort{1, 0};
    setsockopt(connection->fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  if (how == CloseHow::kFlush && !connection->connecting) {
    if (!connection->closing) start_closing(*connection);
    return true;
  }
  finish(*connection, CloseReason::kLocal, 0);
  return true;
}

void Engine::drain(Handle handle) {
  Connection* connection = find(handle);
  if (connection == nullptr) return;
  connection->close_after = true;
  if (connection->is_downstream()) enqueue(*connection);  // `run` ends it where it is idle, and first takes a request that has arrived
}

/// Nothing more is read; once the queue is out the connection lingers. A peer that takes nothing for `kFlushMs` is given up.
void Engine::start_closing(Connection& connection) {
  detach(connection);
  finish_cut_off();
  connection.closing = true;
  arm(connection, kTimerLinger, kFlushMs);
  mark_dirty(connection);
}

/// Everything is out: FIN, and the peer gets a while to take the answer before unread bytes would turn the close into a reset (RFC 9112 §9.6).
void Engine::start_linger(Connection& connection) {
  if (connection.rx == Rx::kLinger) return;
  const bool nothing_unread = (connection.rx == Rx::kDone || connection.rx == Rx::kEof || connection.rx == Rx::kHead) && connection.in.empty() && !connection.readable;
  if (connection.eof || nothing_unread || connection.profile->linger_ms <= 0) {
    finish(connection, CloseReason::kLocal, 0);
    return;
  }
  if (!connection.shut) shutdown(connection.fd.get(), SHUT_WR);
  connection.shut = true;
  connection.rx = Rx::kLinger;
  connection.linger_left = connection.profile->linger_bytes;
  connection.in.clear();
  arm(connection, kTimerLinger, connection.profile->linger_ms);
  connection.readable = true;
  enqueue(connection);
}

/// Cuts the ties to the connections it exchanges bytes with; they stay, and whoever decides is told by kClosed.
void Engine::detach(Connection& connection) {
  // A frame whose rest does not come is of no use to the one who has its beginning.
  const Handle cut = connection.frame_left > 0 ? connection.rx_to : kNoHandle;
  connection.frame_left = 0;
  if (Connection* to = find(connection.rx_to); to != nullptr && to->tx_from == connection.handle) to->tx_from = kNoHandle;
  if (Connection* from = find(connection.tx_from); from != nullptr && from->rx_to == connection.handle) {
    from->rx_to = kNoHandle;
    from->read_blocked = false;
    if (from->frame_left > 0) enqueue(*from);  // what is left is thrown away
  }
  connection.rx_to = connection.tx_from = kNoHandle;
  // After the end of the sender itself, which is the cause.
  if (cut != kNoHandle) cut_off_.push_back(cut);
}
void Engine::finish_cut_off() {
  while (!cut_off_.empty()) {
    const Handle handle = cut_off_.back();
    cut_off_.pop_back();
    if (Connection* to = find(handle); to != nullptr) finish(*to, CloseReason::kTruncated, 0);
  }
}

void Engine::finish(Connection& connection, CloseReason reason, int error) {
  if (connection.ended) return;
  detach(connection);
  connection.ended = true;
  wheel_.remove(connection);
  connection.fd.close();
  connection.in.clear();
  connection.out.clear();
  connection.retained.reset();
  drop_head(connection);
  --open_;
  ended_.push_back(static_cast<uint32_t>(connection.handle) & kIndexMask);
  emit(EventKind::kClosed, connection.handle, static_cast<int32_t>(reason), error);
  finish_cut_off();
}

void Engine::fail_io(Connection& connection, int error) {
  if (connection.connecting) {
    finish(connection, CloseReason::kConnectFailed, error);
    return;
  }
  finish(connection, connection.rx == Rx::kLinger ? CloseReason::kLinger : CloseReason::kReset, error);
}

/// An upstream may have answered early and gone, with a reset for the rest of the request (RFC 9112 §9.6): its answer is read before its end counts.
void Engine::fail_output(Connection& connection, int error) {
  if (!connection.is_answering()) {
    fail_io(connection, error);
    return;
  }
  connection.write_error = error;
  connection.out.clear();
  connection.readable = true;
  enqueue(connection);
}

void Engine::arm(Connection& connection, uint8_t kind, double ms) {
  connection.timer_kind = kind;
  if (!awake_) {
    refresh_clock();
    schedule();  // the loop's timer may have to be set earlier
  }
  wheel_.start(connection, now_ms_, now_ms_ + ms);
}

void Engine::disarm(Connection& connection) noexcept {
  connection.timer_kind = kTimerNone;
  wheel_.stop(connection);
}

/// Something happened on the connection: its idle time starts anew.
void Engine::touch(Connection& connection) {
  // The times of a connect and of a close are not its to move.
  if (connection.idle_ms > 0 && !connection.connecting && !connection.closing) arm(connection, kTimerIdle, connection.idle_ms);
}

void Engine::on_timer(Connection& connection) {
  const uint8_t kind = std::exchange(connection.timer_kind, kTimerNone);
  if (kind == kTimerConnect) finish(connection, CloseReason::kConnectTimeout, ETIMEDOUT);
  else if (kind == kTimerLinger) finish(connection, CloseReason::kLinger, 0);
  else if (kind == kTimerDiscard) start_closing(connection);
  else if (kind == kTimerIdle) emit(EventKind::kTimeout, connection.handle, static_cast<int32_t>(TimeoutKind::kIdle));
  else if (kind == kTimerHead) emit(EventKind::kTimeout, connection.handle, static_cast<int32_t>(TimeoutKind::kHead));
}

// ---- commands -----------------------------------------------------------------------------------------------------------------------------

Handle Engine::listen(const SocketAddress& address, const SocketOptions& options, int profile, bool original_dst, int max_accepts, SocketFault& fault) {
  if (profile < 0 || static_cast<size_t>(profile) >= profiles_.size()) {
    fault = {"profile", EINVAL};
    return kNoHandle;
  }
  auto listener = std::make_unique<Listener>();
  listener->fd = open_listener(address, options, fault);
  if (!listener->fd.open()) return kNoHandle;
  listener->profile = &profiles_[static_cast<size_t>(profile)];
  listener->original_dst = original_dst;
  listener->max_accepts = std::max(1, max_accepts);
  size_t index = 0;
  while (index < listeners_.size() && listeners_[index] != nullptr) index++;
  if (index == listeners_.size()) listeners_.emplace_back();
  listener->handle = static_cast<Handle>(index + 1);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerTag | index;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener->fd.get(), &event) != 0) {
    fault = {"epoll_ctl", errno};
    return kNoHandle;
  }
  listeners_[index] = std::move(listener);
  return static_cast<Handle>(index + 1);
}

void Engine::unlisten(Handle listener) {
  const auto index = static_cast<size_t>(listener - 1);
  if (listener < 1 || index >= listeners_.size() || listeners_[index] == nullptr) return;
  sockaddr_un local{};
  socklen_t length = sizeof local;
  getsockname(listeners_[index]->fd.get(), reinterpret_cast<sockaddr*>(&local), &length);
  listeners_[index].reset();
  if (local.sun_family == AF_UNIX && local.sun_path[0] != '\0') unlink(local.sun_path);
}

Handle Engine::connect(const SocketAddress& address, const SocketAddress* source, const SocketOptions& options, int profile, double timeout_ms) {
  if (profile < 0 || static_cast<size_t>(profile) >= profiles_.size()) return kNoHandle;
  const Profile& how = profiles_[static_cast<size_t>(profile)];
  SocketFault fault;
  Fd fd = start_connect(address, source, options, fault);
  const int raw = fd.get();
  Connection& connection = open_slot(std::move(fd), how);
  connection.connecting = true;
  connection.rx = how.framing == FramingKind::kHttp1 ? Rx::kIdle : first_rx(how.framing) == Rx::kInspect ? Rx::kRaw : first_rx(how.framing);
  if (fault.error == 0) {
    epoll_event event{};
    event.events = kConnectionEvents;
    event.data.u64 = static_cast<uint32_t>(connection.handle);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, raw, &event) != 0) fault = {"epoll_ctl", errno};
  }
  const Handle handle = connection.handle;
  if (fault.error != 0) finish(connection, CloseReason::kConnectFailed, fault.error);
  else if (timeout_ms > 0) arm(connection, kTimerConnect, timeout_ms);
  return handle;
}

void Engine::pause(Handle handle) {
  if (Connection* connection = find(handle); connection != nullptr) connection->paused = true;
}

void Engine::resume(Handle handle) {
  Connection* connection = find(handle);
  if (connection == nullptr || !connection->paused) return;
  connection->paused = false;
  enqueue(*connection);
}

void Engine::set_idle_timeout(Handle handle, double ms) {
  Connection* connection = find(handle);
  if (connection == nullptr) return;
  connection->idle_ms = ms;
  if (connection->timer_kind == kTimerIdle || connection->timer_kind == kTimerNone) {
    const bool between = connection->rx == Rx::kRaw || connection->rx == Rx::kBytes || connection->rx == Rx::kFrames || connection->rx == Rx::kIdle || (connection->rx == Rx::kHead && connection->is_downstream());
    if (ms <= 0) disarm(*connection);
    else if (between) touch(*connection);
  }
}

std::optional<Engine::Info> Engine::info(Handle handle) const {
  const Connection* connection = find(handle);
  if (connection == nullptr) return std::nullopt;
  SocketAddress local;
  SocketAddress remote;
  local.length = remote.length = sizeof(sockaddr_storage);
  Info info;
  if (getsockname(connection->fd.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length) == 0) info.local = local.text();
  if (getpeername(connection->fd.get(), reinterpret_cast<sockaddr*>(&remote.storage), &remote.length) == 0) info.remote = remote.text();
  if (connection->original_dst && (local.family() == AF_INET || local.family() == AF_INET6)) {
    if (const auto original = original_destination(connection->fd.get(), local)) info.original_dst = original->text();
  }
  return info;
}

std::optional<std::string> Engine::listener_address(Handle listener) const {
  const auto index = static_cast<size_t>(listener - 1);
  if (listener < 1 || index >= listeners_.size() || listeners_[index] == nullptr) return std::nullopt;
  SocketAddress local;
  local.length = sizeof(sockaddr_storage);
  if (getsockname(listeners_[index]->fd.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length) != 0) return std::nullopt;
  return local.text();
}

std::optional<Traffic> Engine::traffic(Handle handle) const {
  // A connection that has ended keeps its slot until the batch that tells of it is over.
  const auto index = static_cast<uint32_t>(handle) & kIndexMask;
  const Connection* connection = index < slots_.size() ? slots_[index].get() : nullptr;
  if (connection == nullptr || connection->handle != handle || connection->told) return std::nullopt;
  return Traffic{connection->received, connection->sent, connection->out.size()};
}

}  // namespace sluice
