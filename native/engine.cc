#include "engine_connection.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {

namespace {

/// Slots are used anew only where so many are free: a handle comes again after about a million others.
constexpr size_t kSpareSlots = 512;
constexpr uint32_t kGenerationMask = (1U << 11) - 1;
constexpr uint64_t kListenerTag = uint64_t{1} << 40;
constexpr uint64_t kWakerTag = uint64_t{1} << 41;

constexpr size_t kScratchBytes = 128 * 1024;
/// Below this a body piece is copied and leaves with the rest of the batch; above, it is written at once without a copy.
constexpr size_t kDirectBytes = 8 * 1024;
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

constexpr size_t kSpareStreams = 1024;
/// Spare memory of outputs is kept for so many connections.
constexpr size_t kSpareOutputs = 16;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

double monotonic_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1000.0 + static_cast<double>(now.tv_nsec) / 1e6;
}

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
    case FramingKind::kHttp2:
      return Rx::kStreams;
  }
  return Rx::kRaw;
}

bool has_frames(const Profile& profile) noexcept { return profile.framing == FramingKind::kBytes || profile.framing == FramingKind::kFrames; }
}  // namespace

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
  accept_retry_.tag = kNodeAccepts;
  refresh_clock();
}

Engine::~Engine() = default;

void Engine::refresh_clock() noexcept { now_ms_ = monotonic_ms(); }

double Engine::next_timer_ms() const noexcept { return wheel_.next_ms(now_ms_); }

int Engine::add_profile(const Profile& profile) {
  // Of HTTP/2 each field is laid out in less than the 32 bytes beside its own that the limit counts for it.
  const bool has_streams = profile.framing == FramingKind::kHttp2;
  const auto head_bytes = has_streams ? static_cast<size_t>(std::max(0, profile.streams[http2::rules::kOptionMaxHeadBytes])) : profile.limits.max_head_bytes;
  const auto headers = has_streams ? static_cast<size_t>(std::max(0, profile.streams[http2::rules::kOptionMaxHeaders])) : profile.limits.max_headers;
  const size_t head = head_bytes + 16 + (layout::kHeadFields + size_t{layout::kFieldWords} * headers) * sizeof(int32_t);
  if (head > arena_.size() / kExtraShare) return -1;
  if (profile.frames != nullptr && profile.frames->max_frame_bytes() + profile.frames->table_words() * sizeof(int32_t) + 8 > arena_.size() - arena_.size() / kExtraShare) return -1;
  if (profile.preface >= 0 && (static_cast<size_t>(profile.preface) >= profiles_.size() || profiles_[static_cast<size_t>(profile.preface)].framing != FramingKind::kHttp2)) return -1;
  max_head_ = std::max(max_head_, head);
  profiles_.push_back(profile);
  return static_cast<int>(profiles_.size() - 1);
}

bool Engine::has_slot() const noexcept { return slots_.size() <= kIndexMask || !free_.empty(); }

void Engine::take_slot(std::unique_ptr<Endpoint> endpoint) {
  uint32_t index = 0;
  // A few spare ones first: a handle comes again only after all of them were used so often as there are generations.
  if (free_.size() < kSpareSlots && slots_.size() <= kIndexMask) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.front();
    free_.pop_front();
  }
  Slot& slot = slots_[index];
  slot.generation = (slot.generation + 1) & kGenerationMask;
  if (slot.generation == 0) slot.generation = 1;
  endpoint->handle = static_cast<Handle>((slot.generation << kIndexBits) | index);
  slot.endpoint = std::move(endpoint);
}

Engine::Connection& Engine::open_slot(Fd fd, const Profile& profile) {
  auto made = std::make_unique<Connection>(pool_, std::move(fd), profile);
  Connection& connection = *made;
  take_slot(std::move(made));
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

/// What commands place while events are told of stays for another round: they leave room for a head behind it.
size_t Engine::arena_end() const noexcept {
  const size_t end = arena_.size() - arena_.size() / kExtraShare;
  return is_telling_ ? end / 2 : end;
}

size_t Engine::arena_room() const noexcept {
  const size_t end = arena_end();
  return end > arena_events_ ? end - arena_events_ : 0;
}

/// For what one step of a connection may bring: a head or a piece of a body, and the events that go with it.
bool Engine::has_event_room() const noexcept { return arena_fits(max_head_ + kScratchBytes) && events_.size() + 8 <= kMaxEvents; }

bool Engine::arena_fits(size_t bytes) const noexcept { return arena_events_ + bytes <= arena_end(); }

void Engine::deliver() {
  for (int round = 0; !events_.empty() && round < kMaxRounds; round++) {
    std::swap(events_, delivering_);
    batch_++;
    std::swap(ended_, telling_);
    const size_t told = arena_events_;
    is_telling_ = true;
    for (size_t from = 0; from < delivering_.size(); from += kMaxEvents) {
      sink_->deliver(std::span(delivering_).subspan(from, std::min(kMaxEvents, delivering_.size() - from)));
    }
    is_telling_ = false;
    delivering_.clear();
    // What has been placed meanwhile is told of in the next round.
    if (arena_events_ == told) arena_events_ = 0;
    for (const uint32_t index : telling_) {
      auto endpoint = std::move(slots_[index].endpoint);
      if (endpoint->is_stream) {
        const Stream& stream = static_cast<Stream&>(*endpoint);
        if (stream.releases && !stream.parent->ended) stream.parent->streams->codec.release(stream.id);
        if (streams_.size() < kSpareStreams) streams_.push_back(std::move(endpoint));
      }
      free_.push_back(index);
    }
    telling_.clear();
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
int32_t Engine::place_head(const MessageHead& head, bool in_batch) {
  const auto table = head.table;
  const size_t padded = (head.bytes + 3) & ~size_t{3};
  const size_t needed = padded + table.size_bytes();
  const size_t extra_from = arena_.size() - arena_.size() / kExtraShare;
  size_t& cursor = in_batch ? arena_events_ : arena_extra_;
  if (!in_batch && cursor + needed > arena_.size()) cursor = extra_from;
  if (cursor + needed > (in_batch ? extra_from : arena_.size())) return -1;
  const size_t bytes_at = cursor;
  cursor += needed;
  if (head.bytes > 0) std::memcpy(arena_.data() + bytes_at, head.base + head.skipped, head.bytes);
  const size_t table_at = bytes_at + padded;
  auto* words = reinterpret_cast<int32_t*>(arena_.data() + table_at);
  std::memcpy(words, table.data(), table.size_bytes());
  const auto shift = static_cast<int32_t>(bytes_at) - static_cast<int32_t>(head.skipped);
  for (const int word : {layout::kHeadMethod, layout::kHeadTarget, layout::kHeadAuthority, layout::kHeadPath, layout::kHeadScheme, layout::kHeadProtocol, layout::kHeadStart}) {
    words[word] += shift;
  }
  for (size_t word = layout::kHeadFields; word + 3 < table.size(); word += layout::kFieldWords) {
    words[word] += shift;
    words[word + 2] += shift;
  }
  return static_cast<int32_t>(table_at / sizeof(int32_t));
}

/// Copies bytes into the arena, which has room for them.
int32_t Engine::place_bytes(std::span<const uint8_t> bytes) {
  const size_t where = arena_events_;
  if (!bytes.empty()) std::memcpy(arena_.data() + where, bytes.data(), bytes.size());
  arena_events_ += (bytes.size() + 3) & ~size_t{3};
  return static_cast<int32_t>(where);
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
      if (!has_event_room()) deliver();
      if (tag == kWakerTag) {
        uint64_t wakes = 0;
        [[maybe_unused]] const auto got = ::read(waker_.get(), &wakes, sizeof wakes);
        scheduled_ = false;
      } else if ((tag & kListenerTag) != 0) {
        const auto index = static_cast<size_t>(tag & kIndexMask);
        if (listeners_[index] != nullptr) accept_some(*listeners_[index]);
      } else if (Connection* connection = find_connection(static_cast<Handle>(tag)); connection != nullptr) {
        on_ready(*connection, ready[static_cast<size_t>(i)].events);
      }
    }
    std::swap(ready_, working_);
    for (const Handle handle : working_) {
      if (!has_event_room()) deliver();
      if (Endpoint* endpoint = find(handle); endpoint != nullptr) {
        endpoint->queued = false;
        if (endpoint->is_stream) run_stream(static_cast<Stream&>(*endpoint));
        else run(static_cast<Connection&>(*endpoint));
      }
    }
    working_.clear();
    wheel_.advance(now_ms_, [this](TimerNode& node) { on_timer(node); });
    deliver();
    std::swap(dirty_, working_);
    for (const Handle handle : working_) {
      if (Connection* connection = find_connection(handle); connection != nullptr) {
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
    if (!has_slot()) return;
    Connection& connection = open_slot(std::move(fd), *listener.profile);
    connection.original_dst = listener.original_dst;
    epoll_event event{};
    event.events = kConnectionEvents;
    event.data.u64 = static_cast<uint32_t>(connection.handle);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event) != 0) {
      --open_;
      const auto index = index_of(connection.handle);
      slots_[index].endpoint.reset();
      free_.push_back(index);
      return;
    }
    touch(connection);
    start_reading(connection);
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

/// What a connection of this profile is at in the beginning.
void Engine::start_reading(Connection& connection) {
  const Profile& profile = *connection.profile;
  connection.rx = first_rx(profile.framing);
  connection.sniffs = profile.preface >= 0 && profile.framing == FramingKind::kHttp1 && profile.side == Side::kDownstream;
  if (connection.rx == Rx::kStreams) start_streams(connection);
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
  if (waiting(connection) > 0 || connection.closing || connection.shut_after_flush) mark_dirty(connection);
}

bool Engine::wants_input(const Connection& connection) const noexcept {
  if (connection.eof || connection.connecting || connection.paused || (connection.closing && connection.rx != Rx::kLinger)) return false;
  switch (connection.rx) {
    case Rx::kIdle:
      return true;
    case Rx::kLinger:
      return connection.linger_left > 0 || connection.streams == nullptr;
    case Rx::kHead:
      return !connection.read_blocked;
    case Rx::kBody:
      return !connection.read_blocked && !connection.queued && may_move(connection);
    case Rx::kRaw:
      return !connection.read_blocked && connection.rx_to != kNoHandle;
    case Rx::kInspect:
      return connection.in.size() < kInspectBytes;
    case Rx::kBytes:
      return connection.in.empty();
    case Rx::kFrames:
      // Queued: whole frames wait for room in the batch.
      return !connection.read_blocked && !connection.queued && !connection.partial;
    case Rx::kStreams:
      return !connection.read_blocked && !connection.queued;
    case Rx::kPending:
    case Rx::kEnding:
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
  if (connection.end_untold && connection.rx == Rx::kBody && !connection.closing) body_read(connection, connection.in.size());
  consume(connection);
  while (!connection.ended && connection.readable && wants_input(connection)) {
    if (connection.received - start > kReadBudget) {
      enqueue(connection);
      return;
    }
    if (!receive(connection)) break;
  }
  if (!connection.ended && connection.eof && eof_counts(connection)) on_eof(connection);
  if (!connection.ended && connection.rx == Rx::kLinger && connection.linger_left == 0 && connection.hup) finish(connection, CloseReason::kLinger, 0);
  // Drained, and between two requests.
  if (connection.close_after && connection.rx == Rx::kHead && connection.is_downstream() && connection.in.empty() && !connection.ended && !connection.closing) {
    start_closing(connection);
  }
}

/// One `recv`. False: nothing came.
bool Engine::receive(Connection& connection) {
  const Rx rx = connection.rx;
  const bool direct = (rx == Rx::kBody || rx == Rx::kRaw || rx == Rx::kLinger || rx == Rx::kFrames || rx == Rx::kStreams) && connection.in.empty();
  const auto room = direct ? std::span(scratch_) : connection.in.room(connection.in.empty() ? BlockPool::kBlockBytes : 4096);
  ssize_t got = 0;
  do {
    got = recv(connection.fd.get(), room.data(), room.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    if (!direct && connection.in.empty()) connection.in.clear();
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
  if (!direct) {
    connection.in.filled(count);
    consume(connection);
    return true;
  }
  if (rx == Rx::kLinger) {
    // A flood on a connection with streams is left where it is, as a close now would be a reset, and the peer would not see its GOAWAY.
    connection.linger_left -= std::min<uint64_t>(count, connection.linger_left);
    if (connection.linger_left == 0 && connection.streams == nullptr) finish(connection, CloseReason::kLinger, 0);
    return true;
  }
  const auto bytes = std::span<const uint8_t>(scratch_).first(count);
  const bool in_messages = rx == Rx::kBody || rx == Rx::kRaw;
  const size_t taken = in_messages ? pump_bytes(connection, bytes) : rx == Rx::kFrames ? take_frames(connection, bytes) : take_streams(connection, bytes);
  if (!connection.ended && taken < count && connection.rx != Rx::kFaulted) {
    connection.in.append(bytes.subspan(taken));
    if (in_messages) consume(connection);
  }
  return true;
}

/// Acts on buffered bytes as the state of the input asks for.
void Engine::consume(Connection& connection) {
  if (connection.ended || connection.paused || (connection.closing && connection.rx != Rx::kLinger)) return;
  switch (connection.rx) {
    case Rx::kHead:
      if (!connection.in.empty() && !connection.read_blocked && (!connection.sniffs || sniff(connection))) read_head(connection);
      return;
    case Rx::kBody:
    case Rx::kRaw:
      while (!connection.in.empty() && !connection.read_blocked && !connection.held && !connection.queued && (connection.rx == Rx::kBody || connection.rx == Rx::kRaw)) {
        if (!may_move(connection)) return;
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
        emit(EventKind::kPeek, connection.handle, place_bytes(connection.in.bytes()), static_cast<int32_t>(connection.in.size()), connection.eof ? 1 : 0);
      }
      return;
    case Rx::kFrames:
      if (!connection.in.empty() && !connection.read_blocked) connection.in.consume(take_frames(connection, connection.in.bytes()));
      return;
    case Rx::kStreams:
      if (!connection.in.empty() && !connection.read_blocked) {
        const size_t taken = take_streams(connection, connection.in.bytes());
        if (!connection.ended) connection.in.consume(taken);
      }
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
      const int32_t where = place_bytes(connection.in.bytes().first(count));
      connection.in.consume(count);
      touch(connection);
      emit(EventKind::kBytes, connection.handle, where, static_cast<int32_t>(count));
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
    case Rx::kEnding:
    case Rx::kDone:
    case Rx::kFaulted:
    case Rx::kEof:
      return;
  }
}

/// Do the first bytes say HTTP/2 (RFC 9113 §3.4)? False: so far they might, or they do, and the connection has been handed over.
bool Engine::sniff(Connection& connection) {
  const auto bytes = connection.in.bytes();
  const size_t count = std::min(bytes.size(), kPreface.size());
  if (std::memcmp(bytes.data(), kPreface.data(), count) != 0) {
    connection.sniffs = false;
    return true;
  }
  if (count < kPreface.size()) {
    if (connection.timer_kind != kTimerHead && connection.profile->head_ms > 0) arm(connection, kTimerHead, connection.profile->head_ms);
    return false;
  }
  const int profile = connection.profile->preface;
  connection.profile = &profiles_[static_cast<size_t>(profile)];
  connection.idle_ms = connection.profile->idle_ms;
  disarm(connection);
  touch(connection);
  start_reading(connection);
  emit(EventKind::kProtocol, connection.handle, profile);
  consume(connection);
  return false;
}

/// Whether the peer's FIN is next: everything before it was taken, or it cuts a head short.
bool Engine::eof_counts(const Connection& connection) noexcept {
  return connection.in.empty() || connection.rx == Rx::kHead || connection.rx == Rx::kInspect || (connection.rx == Rx::kFrames && !connection.queued && !connection.partial && !connection.read_blocked) || (connection.rx == Rx::kStreams && !connection.queued && !connection.read_blocked);
}

/// The peer's FIN, once everything before it has been dealt with.
void Engine::on_eof(Connection& connection) {
  switch (connection.rx) {
    case Rx::kHead:
      if ((connection.parser != nullptr && connection.parser->started()) || (connection.sniffs && !connection.in.empty())) {
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
    case Rx::kStreams:
      finish(connection, connection.in.empty() ? CloseReason::kRemote : CloseReason::kTruncated, 0);
      return;
    case Rx::kBody:
      if (connection.held) return;
      if (connection.body.mid_message()) finish(connection, CloseReason::kTruncated, 0);
      else body_read(connection, 0);
      return;
    case Rx::kRaw: {
      if (connection.rx_to == kNoHandle) return;
      connection.rx = Rx::kEof;
      if (Endpoint* to = find(connection.rx_to); to != nullptr) end_tunnel_to(*to);
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
    case Rx::kEnding:
    case Rx::kFaulted:
    case Rx::kEof:
      return;
  }
}

void Engine::enqueue(Endpoint& endpoint) {
  if (endpoint.queued || endpoint.ended) return;
  endpoint.queued = true;
  ready_.push_back(endpoint.handle);
  schedule();
}

// ---- frames -------------------------------------------------------------------------------------------------------------------------------

bool Engine::write(Handle handle, std::span<const uint8_t> bytes) {
  Endpoint* endpoint = find(handle);
  if (endpoint == nullptr || endpoint->closing) return false;
  if (endpoint->is_stream) {
    auto& stream = static_cast<Stream&>(*endpoint);
    if ((stream.rx != Rx::kRaw && stream.rx != Rx::kEof) || stream.local_ended) return false;
    put_body(stream, bytes, false);
    if (stream.out.size() <= 2 * stream.profile->high_water) return !is_full(stream);
    close_stream(stream, CloseHow::kReset);
    return false;
  }
  auto* const connection = static_cast<Connection*>(endpoint);
  if (connection->streams != nullptr) return false;
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
  if (Connection* to = find_connection(target); to != nullptr) {
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
  const auto index = index_of(from);
  const Endpoint* source = index < slots_.size() ? slots_[index].endpoint.get() : nullptr;
  Connection* target = find_connection(to);
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
  Connection* const sender = left > 0 ? find_connection(from) : nullptr;
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
  Connection* connection = find_connection(handle);
  if (connection == nullptr || !connection->partial) return;
  connection->partial = false;
  connection->wants_whole = true;
  enqueue(*connection);
}

void Engine::adopt(Handle handle, int profile, size_t skip) {
  Connection* connection = find_connection(handle);
  if (connection == nullptr || connection->rx != Rx::kInspect || profile < 0 || static_cast<size_t>(profile) >= profiles_.size()) return;
  connection->profile = &profiles_[static_cast<size_t>(profile)];
  connection->idle_ms = connection->profile->idle_ms;
  // What came while it was looked at is its new owner's.
  add_to(connection->profile->wire_received, connection->received);
  connection->in.consume(std::min(skip, connection->in.size()));
  disarm(*connection);
  touch(*connection);
  start_reading(*connection);
  if (connection->rx == Rx::kInspect) connection->rx = Rx::kRaw;
  enqueue(*connection);
}

// ---- output -------------------------------------------------------------------------------------------------------------------------------

void Engine::mark_dirty(Connection& connection) {
  if (connection.dirty || connection.ended) return;
  connection.dirty = true;
  dirty_.push_back(connection.handle);
  schedule();
}

/// Writes a head. False: the stream is gone, or none can be opened.
bool Engine::put_head(Endpoint& endpoint, const MessageHead& head, const EditsRef& edits, const http1::OutHead& how, bool ends) {
  if (!endpoint.is_stream) {
    auto& to = static_cast<Connection&>(endpoint);
    head_out_.clear();
    http1::write_head(head.table, head.base, edits.ints, edits.bytes.data(), how, head_out_);
    to.out.append(head_out_);
    mark_dirty(to);
    return true;
  }
  auto& to = static_cast<Stream&>(endpoint);
  if (to.parent == nullptr) return false;
  http2::Connection& codec = codec_of(*to.parent);
  const bool has_length = how.framing == http1::BodyFraming::kLength || how.framing == http1::BodyFraming::kNone;
  const http2::Connection::OutHead out{head.table, head.base, edits.ints, edits.bytes.data(), {has_length ? how.content_length : -1, "http", how.upgrade}};
  const size_t before = codec.output().size();
  if (to.is_downstream()) {
    if (!codec.respond(to.id, out, ends)) return false;
  } else {
    to.id = codec.request(out, ends);
    if (to.id == 0) return false;
    to.parent->streams->by_id[to.id] = &to;
    to.parent->streams->unsent--;
  }
  to.sent += codec.output().size() - before;
  to.local_ended = ends;
  mark_dirty(*to.parent);
  return true;
}

/// Bytes of a body. `ends`: they are its last, and no trailers follow.
void Engine::put_body(Endpoint& endpoint, std::span<const uint8_t> data, bool ends) {
  if (data.empty()) return;
  if (endpoint.is_stream) {
    put_stream_data(static_cast<Stream&>(endpoint), data, ends);
    return;
  }
  auto& to = static_cast<Connection&>(endpoint);
  if (to.out_framing != http1::BodyFraming::kChunked) {
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

/// The end of a body. False: it waits behind bytes; `end_gone` follows.
bool Engine::put_end(Endpoint& endpoint, const Trailers& trailers) {
  if (!endpoint.is_stream) {
    auto& to = static_cast<Connection&>(endpoint);
    if (to.out_framing != http1::BodyFraming::kChunked) return true;
    head_out_.clear();
    http1::write_last_chunk(trailers.lines, head_out_);
    to.out.append(head_out_);
    mark_dirty(to);
    return true;
  }
  auto& to = static_cast<Stream&>(endpoint);
  if (to.local_ended || to.parent == nullptr) return true;
  if (!to.out.empty()) {
    to.end_waits = true;
    if (!trailers.empty()) to.out_trailers = copy_head(trailers.table, {trailers.base(), trailers.lines.size()});
    return false;
  }
  http2::Connection& codec = codec_of(*to.parent);
  const size_t before = codec.output().size();
  if (!trailers.table.empty()) (void)codec.trailers(to.id, trailers.table, trailers.base());
  else if (!trailers.lines.empty()) (void)codec.trailers(to.id, trailers.lines);
  else (void)codec.data(to.id, {}, true);
  to.sent += trailers.empty() ? 0 : codec.output().size() - before;
  to.local_ended = true;
  mark_dirty(*to.parent);
  return true;
}

/// Output that the system has not taken.
size_t Engine::waiting(const Connection& connection) noexcept {
  return connection.out.size() + (connection.streams == nullptr ? 0 : connection.streams->codec.output().size());
}

/// Who feeds it is to wait.
bool Engine::is_full(const Endpoint& to) noexcept {
  if (!to.is_stream) return static_cast<const Connection&>(to).out.size() > to.profile->high_water;
  const auto& stream = static_cast<const Stream&>(to);
  return !stream.out.empty() || (stream.parent != nullptr && waiting(*stream.parent) > to.profile->high_water);
}

/// What has gone from `from` to `to` is given back to the window of `from`, or holds it up.
void Engine::settle(Endpoint& from, Endpoint& to) {
  if (from.ended) return;
  Connection* const carrier = to.ended || !to.is_stream ? nullptr : static_cast<Stream&>(to).parent;
  const bool is_above = !to.ended && (to.is_stream ? carrier != nullptr && waiting(*carrier) > to.profile->high_water : is_full(to));
  if (is_above && carrier != nullptr) carrier->streams->holds_senders = true;
  if (!from.is_stream) {
    if (!to.ended && is_full(to)) from.read_blocked = true;
    return;
  }
  if (is_above) {
    from.read_blocked = true;
    return;
  }
  auto& stream = static_cast<Stream&>(from);
  // What waits within the stream has not gone on; of a shown body nobody knows which bytes those are.
  const uint64_t left = to.ended || !to.is_stream ? 0 : static_cast<Stream&>(to).out.size();
  if (from.shows_body && left > 0) {
    from.read_blocked = true;
    return;
  }
  if (stream.owed > left) give_back(stream, stream.owed - left);
}

/// The output of `to` has shrunk: who feeds it goes on.
void Engine::let_on(Endpoint& to) {
  Endpoint* const from = find(to.tx_from);
  if (from == nullptr) return;
  if (!from->is_stream) {
    if (!from->read_blocked) return;
    from->read_blocked = false;
    settle(*from, to);
    if (!from->read_blocked) enqueue(*from);
    return;
  }
  if (from->read_blocked) {
    from->read_blocked = false;
    enqueue(*from);
  }
  settle(*from, to);
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

/// Gives the system what it takes of the queue, and of what a codec has written behind it.
void Engine::send_some(Connection& connection) {
  std::vector<uint8_t>* const frames = connection.streams == nullptr ? nullptr : &connection.streams->codec.output();
  while (connection.writable) {
    const auto queued = connection.out.bytes();
    const auto written = frames == nullptr ? std::span<const uint8_t>{} : std::span<const uint8_t>(*frames);
    const size_t total = queued.size() + written.size();
    if (total == 0) return;
    ssize_t sent = 0;
    if (queued.empty() || written.empty()) {
      const auto bytes = queued.empty() ? written : queued;
      sent = send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    } else {
      // writev's iovec is not const-correct; the kernel only reads.
      std::array<iovec, 2> parts{iovec{const_cast<uint8_t*>(queued.data()), queued.size()}, iovec{const_cast<uint8_t*>(written.data()), written.size()}};
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = parts.size();
      sent = sendmsg(connection.fd.get(), &message, MSG_NOSIGNAL);
    }
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        fail_output(connection, errno);
        return;
      }
      connection.writable = false;
      return;
    }
    const auto gone = static_cast<size_t>(sent);
    count_sent(connection, gone);
    if (connection.closing) arm(connection, kTimerLinger, kFlushMs);
    if (gone < total) connection.writable = false;
    const size_t of_queue = std::min(gone, queued.size());
    if (of_queue > 0) connection.out.consume(of_queue);
    if (frames == nullptr || gone < of_queue || (gone == of_queue && !connection.out.empty())) continue;
    // The rest of what the codec wrote is queued: its own memory is for what comes next.
    const size_t of_frames = gone - of_queue;
    connection.out.append(written.subspan(of_frames));
    frames->clear();
  }
}

void Engine::flush(Connection& connection) {
  if (connection.connecting) return;
  if (connection.streams != nullptr && !connection.streams->blocked.empty()) pump_out(connection);
  if (connection.write_error != 0) {
    connection.out.clear();
    if (connection.streams != nullptr) connection.streams->codec.output().clear();
  }
  send_some(connection);
  if (!connection.ended) after_output(connection);
}

void Engine::after_output(Connection& connection) {
  const size_t left = waiting(connection);
  const bool is_low = left <= connection.profile->high_water / 2;
  if (connection.streams != nullptr) {
    Streams& streams = *connection.streams;
    if (is_low && connection.read_blocked) {
      connection.read_blocked = false;
      enqueue(connection);
    }
    if (is_low && streams.holds_senders) {
      streams.holds_senders = false;
      for (Stream* stream = streams.first; stream != nullptr; stream = stream->after) let_on(*stream);
      if (!streams.blocked.empty()) mark_dirty(connection);
    }
    // On a busy connection there is always something that waits: what counts is that the peer reads.
    if (connection.sent >= streams.flush_mark) {
      streams.codec.flushed();
      streams.flush_mark = connection.sent + left;
    }
    if (left == 0) {
      if (streams.count == 0) streams.codec.idle();
      // The memory goes to whoever writes next.
      auto& memory = streams.codec.output();
      if (memory.capacity() <= 2 * kSendBytes && outputs_.size() < kSpareOutputs) outputs_.push_back(std::move(memory));
      memory = {};
    }
  } else if (is_low && connection.tx_from != kNoHandle) {
    let_on(connection);
  }
  if (connection.tell_drained && is_low) {
    connection.tell_drained = false;
    emit(EventKind::kDrained, connection.handle);
  }
  if (left > 0) return;
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
  Endpoint* endpoint = find(handle);
  if (endpoint == nullptr) return false;
  if (endpoint->is_stream) {
    close_stream(static_cast<Stream&>(*endpoint), how);
    return true;
  }
  auto* const connection = static_cast<Connection*>(endpoint);
  if (how == CloseHow::kReset) {
    const linger abort{1, 0};
    setsockopt(connection->fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  if (how == CloseHow::kFlush && !connection->connecting) {
    if (connection->closing) return true;
    if (connection->streams != nullptr) codec_of(*connection).abort(http2::rules::kErrorNoError, {});
    start_closing(*connection);
    return true;
  }
  finish(*connection, CloseReason::kLocal, 0);
  return true;
}

void Engine::drain(Handle handle) {
  Connection* connection = find_connection(handle);
  if (connection == nullptr || connection->closing) return;
  connection->close_after = true;
  if (connection->streams != nullptr) {
    http2::Connection& codec = codec_of(*connection);
    if (connection->streams->is_draining) codec.finish_drain();
    else codec.drain();
    connection->streams->is_draining = true;
    mark_dirty(*connection);
    end_if_drained(*connection);
    return;
  }
  if (connection->is_downstream()) enqueue(*connection);  // `run` ends it where it is idle, and first takes a request that has arrived
}

/// Nothing more is read; once the queue is out the connection lingers. A peer that takes nothing for `kFlushMs` is given up.
void Engine::start_closing(Connection& connection) {
  connection.closing = true;
  if (connection.streams != nullptr) end_streams(connection, CloseReason::kLocal, 0);
  detach(connection);
  finish_cut_off();
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

/// Cuts the ties to those it exchanges bytes with; they stay, and whoever decides is told by kClosed.
void Engine::detach(Endpoint& endpoint) {
  // A frame whose rest does not come is of no use to the one who has its beginning.
  Handle cut = kNoHandle;
  if (!endpoint.is_stream) {
    auto& connection = static_cast<Connection&>(endpoint);
    if (connection.frame_left > 0) cut = connection.rx_to;
    connection.frame_left = 0;
  }
  if (Endpoint* to = find(endpoint.rx_to); to != nullptr && to->tx_from == endpoint.handle) to->tx_from = kNoHandle;
  if (Endpoint* from = find(endpoint.tx_from); from != nullptr && from->rx_to == endpoint.handle) {
    from->rx_to = kNoHandle;
    from->read_blocked = false;
    if (from->rx == Rx::kEnding && !from->shows_body) from->rx = Rx::kDone;
    if (!from->is_stream && static_cast<Connection*>(from)->frame_left > 0) enqueue(*from);  // what is left is thrown away
  }
  endpoint.rx_to = endpoint.tx_from = kNoHandle;
  // After the end of the sender itself, which is the cause.
  if (cut != kNoHandle) cut_off_.push_back(cut);
}
void Engine::finish_cut_off() {
  while (!cut_off_.empty()) {
    const Handle handle = cut_off_.back();
    cut_off_.pop_back();
    if (Connection* to = find_connection(handle); to != nullptr) finish(*to, CloseReason::kTruncated, 0);
  }
}

void Engine::finish(Connection& connection, CloseReason reason, int error) {
  if (connection.ended) return;
  connection.closing = true;
  if (connection.streams != nullptr) {
    end_streams(connection, reason == CloseReason::kRemote ? CloseReason::kReset : reason, error);
    wheel_.remove(connection.streams->settings_timer);
  }
  detach(connection);
  connection.ended = true;
  wheel_.remove(connection);
  connection.fd.close();
  connection.in.clear();
  connection.out.clear();
  give_retained(std::move(connection.retained));
  drop_head(connection);
  --open_;
  ended_.push_back(index_of(connection.handle));
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
  // The times of a connect and of a close are not its to move, and a connection with streams is idle when none is open.
  if (connection.streams != nullptr && connection.streams->count > 0) return;
  if (connection.idle_ms > 0 && !connection.connecting && !connection.closing) arm(connection, kTimerIdle, connection.idle_ms);
}

void Engine::on_timer(TimerNode& node) {
  if (node.tag == kNodeAccepts) {
    release_accepts();
  } else if (node.tag == kNodeSettings) {
    if (Connection* connection = find_connection(static_cast<Streams::SettingsTimer&>(node).connection); connection != nullptr) expire_settings(*connection);
  } else if (auto& endpoint = static_cast<Endpoint&>(node); endpoint.is_stream) {
    end_flushed(static_cast<Stream&>(endpoint));
  } else {
    on_timer_of(static_cast<Connection&>(endpoint));
  }
}

void Engine::on_timer_of(Connection& connection) {
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
  if (profile < 0 || static_cast<size_t>(profile) >= profiles_.size() || !has_slot()) return kNoHandle;
  const Profile& how = profiles_[static_cast<size_t>(profile)];
  SocketFault fault;
  Fd fd = start_connect(address, source, options, fault);
  const int raw = fd.get();
  Connection& connection = open_slot(std::move(fd), how);
  connection.connecting = true;
  start_reading(connection);
  if (how.framing == FramingKind::kHttp1) connection.rx = Rx::kIdle;
  if (how.framing == FramingKind::kInspect) connection.rx = Rx::kRaw;
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
  if (Endpoint* endpoint = find(handle); endpoint != nullptr) endpoint->paused = true;
}

void Engine::resume(Handle handle) {
  Endpoint* endpoint = find(handle);
  if (endpoint == nullptr || !endpoint->paused) return;
  endpoint->paused = false;
  enqueue(*endpoint);
}

void Engine::set_idle_timeout(Handle handle, double ms) {
  Connection* connection = find_connection(handle);
  if (connection == nullptr) return;
  connection->idle_ms = ms;
  if (connection->timer_kind == kTimerIdle || connection->timer_kind == kTimerNone) {
    const bool between = connection->rx == Rx::kRaw || connection->rx == Rx::kBytes || connection->rx == Rx::kFrames || connection->rx == Rx::kStreams || connection->rx == Rx::kIdle || (connection->rx == Rx::kHead && connection->is_downstream());
    if (ms <= 0) disarm(*connection);
    else if (between) touch(*connection);
  }
}

std::optional<Engine::Info> Engine::info(Handle handle) const {
  const Endpoint* endpoint = find(handle);
  if (endpoint == nullptr) return std::nullopt;
  const auto* const connection = endpoint->is_stream ? static_cast<const Stream*>(endpoint)->parent : static_cast<const Connection*>(endpoint);
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
  // What has ended keeps its slot until the batch that tells of it is over.
  const auto index = index_of(handle);
  const Endpoint* endpoint = index < slots_.size() ? slots_[index].endpoint.get() : nullptr;
  if (endpoint == nullptr || endpoint->handle != handle) return std::nullopt;
  const size_t queued = endpoint->is_stream ? static_cast<const Stream*>(endpoint)->out.size() : endpoint->ended ? 0 : waiting(static_cast<const Connection&>(*endpoint));
  return Traffic{endpoint->received, endpoint->sent, queued};
}

}  // namespace sluice
