// HTTP/2 in the engine: what a connection's codec finds becomes events and bodies of streams, and what streams send becomes frames.
#include <algorithm>
#include <utility>

#include "engine_connection.h"

namespace sluice {

using namespace http2::rules;

namespace {
/// Heads of 1xx that may wait while one is pending.
constexpr size_t kMaxLater = 16;
/// What one stream sends in its turn.
constexpr size_t kTurnBytes = 16 * 1024;
constexpr size_t kSpareHeads = 512;
constexpr size_t kSpareHeadBytes = 8 * 1024;
constexpr uint64_t kMaxStreamLimit = 0x7fffffff;
/// Payload of our PINGs.
constexpr uint32_t kPingLow = 0x736c7563;
constexpr uint32_t kPingHigh = 0x70696e67;
}  // namespace

// ---- life ---------------------------------------------------------------------------------------------------------------------------------

/// The codec, with memory for what it is going to write.
http2::Connection& Engine::codec_of(Connection& connection) {
  http2::Connection& codec = connection.streams->codec;
  if (codec.output().capacity() == 0 && !outputs_.empty()) {
    codec.output() = std::move(outputs_.back());
    outputs_.pop_back();
  }
  return codec;
}

void Engine::start_streams(Connection& connection) {
  if (!awake_) refresh_clock();
  connection.streams = std::make_unique<Streams>(connection.is_downstream(), connection.profile->streams, codec_now());
  Streams& streams = *connection.streams;
  streams.settings_timer.connection = connection.handle;
  if (const int64_t deadline = streams.codec.settings_deadline(); deadline > 0) {
    wheel_.start(streams.settings_timer, now_ms_, static_cast<double>(deadline));
    if (!awake_) schedule();
  }
  mark_dirty(connection);
}

void Engine::expire_settings(Connection& connection) {
  if (connection.closing) return;
  const http2::Event& event = codec_of(connection).expire(codec_now());
  if (event.kind == kEventFault) {
    on_connection_fault(connection, event);
  } else if (const int64_t deadline = connection.streams->codec.settings_deadline(); deadline > 0) {
    wheel_.start(connection.streams->settings_timer, now_ms_, static_cast<double>(deadline));
  }
}

Engine::Stream& Engine::add_stream(Connection& connection) {
  std::unique_ptr<Endpoint> made;
  if (streams_.empty()) {
    made = std::make_unique<Stream>(pool_, connection);
  } else {
    made = std::move(streams_.back());
    streams_.pop_back();
    auto* const place = static_cast<Stream*>(made.get());
    std::destroy_at(place);
    std::construct_at(place, pool_, connection);
  }
  Stream& stream = static_cast<Stream&>(*made);
  take_slot(std::move(made));
  Streams& streams = *connection.streams;
  stream.before = streams.last;
  (streams.last == nullptr ? streams.first : streams.last->after) = &stream;
  streams.last = &stream;
  if (++streams.count == 1 && connection.timer_kind == kTimerIdle) disarm(connection);
  return stream;
}

/// The connection forgets the stream.
void Engine::forget_stream(Stream& stream) {
  Streams& streams = *stream.parent->streams;
  (stream.before == nullptr ? streams.first : stream.before->after) = stream.after;
  (stream.after == nullptr ? streams.last : stream.after->before) = stream.before;
  stream.before = stream.after = nullptr;
  streams.count--;
  if (stream.id != 0) streams.by_id.erase(stream.id);
  else if (!stream.is_downstream()) streams.unsent--;
}

std::unique_ptr<HeadCopy> Engine::copy_head(std::span<const int32_t> table, std::span<const uint8_t> bytes) {
  std::unique_ptr<HeadCopy> copy;
  if (heads_.empty()) {
    copy = std::make_unique<HeadCopy>();
  } else {
    copy = std::move(heads_.back());
    heads_.pop_back();
  }
  copy->table.assign(table.begin(), table.end());
  copy->bytes.assign(bytes.begin(), bytes.end());
  return copy;
}

void Engine::give_head(std::unique_ptr<HeadCopy> head) {
  if (head != nullptr && heads_.size() < kSpareHeads && head->bytes.capacity() <= kSpareHeadBytes) heads_.push_back(std::move(head));
}

// ---- reading ------------------------------------------------------------------------------------------------------------------------------

/// Acts on the frames at the front of `input`. Answers how many bytes they have.
size_t Engine::take_streams(Connection& connection, std::span<const uint8_t> input) {
  Streams& streams = *connection.streams;
  http2::Connection& codec = codec_of(connection);
  size_t taken = 0;
  bool more = true;
  while (more) {
    if (connection.ended || connection.closing) return input.size();
    // Heads and control frames that the peer makes us write are bounded as well.
    if (waiting(connection) > 2 * connection.profile->high_water) {
      connection.read_blocked = true;
      break;
    }
    // With as many streams open as may be, those that were shown in this batch are dealt with before another one is refused.
    const bool is_full_now = streams.shown_in == batch_ && codec.open() >= static_cast<uint32_t>(connection.profile->streams[kOptionMaxConcurrentStreams]);
    if (!has_event_room() || (is_full_now && connection.is_downstream())) {
      enqueue(connection);  // in the next round, when this one's events have been delivered
      break;
    }
    const http2::Event& event = codec.next(input, taken, codec_now());
    switch (event.kind) {
      case kEventHead:
        on_stream_head(connection, event.stream, event.ends);
        break;
      case kEventData:
        on_stream_data(connection, event.stream, event.bytes, event.ends);
        break;
      case kEventTrailers:
        on_stream_trailers(connection, event.stream);
        break;
      case kEventReset:
        on_stream_reset(connection, event);
        break;
      case kEventBadHead:
        on_bad_head(connection, event);
        break;
      case kEventSettings:
        on_window(connection, 0);
        if (const auto limit = static_cast<int32_t>(std::min(codec.max_streams(), kMaxStreamLimit));
            !connection.is_downstream() && (limit != streams.limit || codec.peer_allows_connect() != streams.takes_upgrades)) {
          streams.limit = limit;
          streams.takes_upgrades = codec.peer_allows_connect();
          emit(EventKind::kStreamLimit, connection.handle, limit, streams.takes_upgrades ? 1 : 0);
        }
        break;
      case kEventSettingsAck:
        wheel_.stop(streams.settings_timer);
        break;
      case kEventPingAck:
        if (event.low == kPingLow && event.high == kPingHigh) emit(EventKind::kPong, connection.handle);
        break;
      case kEventGoaway:
        on_go_away(connection, event.low, event.error);
        break;
      case kEventFault:
        on_connection_fault(connection, event);
        return input.size();
      case kEventMore:
        more = false;
        break;
      case kEventWindow:
        on_window(connection, event.stream);
        break;
      default:
        break;
    }
  }
  if (!codec.output().empty() || !streams.blocked.empty()) mark_dirty(connection);
  end_if_drained(connection);
  return taken;
}

/// Announces the head that a stream has now; `parent`: the connection of a new stream.
void Engine::show_head(Stream& stream, Handle parent) {
  stream.rx = Rx::kPending;
  stream.message_bytes = 0;
  emit(EventKind::kHead, stream.handle, place_head(head_of(stream), true), parent);
}

void Engine::on_stream_head(Connection& connection, uint32_t id, bool ends) {
  Streams& streams = *connection.streams;
  http2::Connection& codec = streams.codec;
  if (connection.is_downstream()) {
    if (!has_slot()) {
      codec.reset(id, kErrorRefusedStream);
      return;
    }
    Stream& stream = add_stream(connection);
    stream.id = id;
    streams.by_id[id] = &stream;
    streams.shown_in = batch_;
    stream.head = copy_head(codec.head(), codec.head_bytes());
    const int32_t flags = word_of(stream.head->table, layout::kHeadFlags);
    stream.received += stream.head->bytes.size();
    stream.remote_ended = ends;
    stream.keep_alive = true;
    stream.expects_continue = (flags & layout::kFlagExpectContinue) != 0;
    stream.in_tunnel = (flags & (layout::kFlagConnect | layout::kFlagExtendedConnect)) != 0;
    stream.request = {(flags & layout::kFlagHeadMethod) != 0, (flags & layout::kFlagConnect) != 0, (flags & layout::kFlagExtendedConnect) != 0, true};
    show_head(stream, connection.handle);
    return;
  }
  Stream** const found = streams.by_id.find(id);
  if (found == nullptr) return;
  Stream& stream = **found;
  auto head = copy_head(codec.head(), codec.head_bytes());
  stream.received += head->bytes.size();
  stream.remote_ended = ends;
  if (stream.rx == Rx::kHead && stream.later.empty() && !stream.read_blocked) {
    stream.head = std::move(head);
    show_head(stream, kNoHandle);
  } else if (stream.later.size() < kMaxLater) {
    stream.later.push_back(std::move(head));
  } else {
    reset_stream(stream, kErrorEnhanceYourCalm);
    finish_stream(stream, CloseReason::kReset, kErrorEnhanceYourCalm, true);
  }
}

/// A head that is not shown, and that is to be answered.
void Engine::on_bad_head(Connection& connection, const http2::Event& event) {
  if (!has_slot()) {
    connection.streams->codec.reset(event.stream, kErrorRefusedStream);
    return;
  }
  Stream& stream = add_stream(connection);
  stream.id = event.stream;
  connection.streams->by_id[event.stream] = &stream;
  stream.remote_ended = event.ends;
  stream.rx = Rx::kFaulted;
  emit(EventKind::kStream, stream.handle, connection.handle);
  emit(EventKind::kFault, stream.handle, fault_number(event.fault->code), static_cast<int32_t>(event.offset), event.status, kFaultInHead | kFaultOfStreams);
}

void Engine::on_stream_data(Connection& connection, uint32_t id, std::span<const uint8_t> bytes, bool ends) {
  Stream** const found = connection.streams->by_id.find(id);
  if (found == nullptr) {
    connection.streams->codec.consume(id, static_cast<uint32_t>(bytes.size()));
    return;
  }
  Stream& stream = **found;
  stream.received += bytes.size();
  if (ends) stream.remote_ended = true;
  if (stream.closing) {
    connection.streams->codec.consume(id, static_cast<uint32_t>(bytes.size()));
    return;
  }
  const bool goes_on = may_move(stream) && stream.in.empty() && (!stream.shows_body || bytes.size() <= show_room(stream));
  if (goes_on && stream.rx == Rx::kBody) {
    move_body(stream, bytes, ends);
    if (ends && !stream.ended && stream.rx == Rx::kBody) body_read(stream, 0);
  } else if (goes_on && stream.rx == Rx::kRaw) {
    move_raw(stream, bytes);
    if (ends && !stream.ended) end_raw(stream);
  } else {
    stream.in.append(bytes);
    if (stream.shows_body) enqueue(stream);
    if (ends && stream.in.empty()) pump_in(stream);
  }
}

void Engine::on_stream_trailers(Connection& connection, uint32_t id) {
  Stream** const found = connection.streams->by_id.find(id);
  if (found == nullptr) return;
  Stream& stream = **found;
  stream.trailers = copy_head(connection.streams->codec.head(), connection.streams->codec.head_bytes());
  stream.received += stream.trailers->bytes.size();
  stream.remote_ended = true;
  pump_in(stream);
}

void Engine::on_stream_reset(Connection& connection, const http2::Event& event) {
  Stream** const found = connection.streams->by_id.find(event.stream);
  if (event.fault != nullptr) {
    emit(EventKind::kFault, connection.handle, fault_number(event.fault->code), static_cast<int32_t>(event.offset),
         connection.is_downstream() ? event.fault->status : 502, kFaultOfStream | kFaultOfStreams);
  }
  if (found == nullptr) {
    connection.streams->codec.release(event.stream);
    return;
  }
  Stream& stream = **found;
  const bool is_upstream = !stream.is_downstream();
  if (stream.closing) {
    stream.releases = !is_upstream;
    finish_stream(stream, CloseReason::kLocal, 0, false);
    return;
  }
  // RFC 9113 §8.1: the server has answered and wants no more of the request.
  if (is_upstream && event.fault == nullptr && event.error == kErrorNoError && stream.remote_ended) {
    outlive(stream);
    if (stream.rx == Rx::kDone) finish_stream(stream, CloseReason::kDone, 0, false);
    return;
  }
  stream.releases = !is_upstream;
  const bool is_refused = is_upstream && event.fault == nullptr && event.error == kErrorRefusedStream;
  finish_stream(stream, is_refused ? CloseReason::kRefused : CloseReason::kReset, event.error, true);
}

/// Upstream: what is above `last` was not processed, and nothing new may be opened.
void Engine::on_go_away(Connection& connection, uint32_t last, uint32_t error) {
  if (connection.is_downstream()) return;
  for (Stream* stream = connection.streams->first; stream != nullptr;) {
    Stream* const next = stream->after;
    if (stream->id > last || stream->id == 0) finish_stream(*stream, CloseReason::kRefused, error, true);
    stream = next;
  }
  emit(EventKind::kGoAway, connection.handle, static_cast<int32_t>(error));
}

/// The connection is broken. Its GOAWAY goes out, then it lingers.
void Engine::on_connection_fault(Connection& connection, const http2::Event& event) {
  wheel_.stop(connection.streams->settings_timer);
  connection.rx = Rx::kFaulted;
  connection.closing = true;
  emit(EventKind::kFault, connection.handle, fault_number(event.fault->code), static_cast<int32_t>(event.offset), 0, kFaultOfConnection | kFaultOfStreams);
  while (Stream* stream = connection.streams->first) finish_stream(*stream, CloseReason::kReset, event.error, true);
  start_closing(connection);
}

// ---- bodies -------------------------------------------------------------------------------------------------------------------------------

/// Something has changed for a stream: it goes on.
void Engine::run_stream(Stream& stream) {
  if (stream.rx == Rx::kHead) {
    if (stream.later.empty() || stream.read_blocked) return;
    stream.head = std::move(stream.later.front());
    stream.later.erase(stream.later.begin());
    show_head(stream, kNoHandle);
    return;
  }
  if (stream.is_own) {
    give_back(stream, stream.owed);
  } else if (stream.shows_body) {
    if (Endpoint* to = find(stream.rx_to); to != nullptr) settle(stream, *to);
  }
  pump_in(stream);
}

/// Moves what has come and had to wait, and the end if that has come too.
void Engine::pump_in(Stream& stream) {
  const bool is_raw = stream.rx == Rx::kRaw;
  if (stream.closing || (stream.rx != Rx::kBody && !is_raw) || !may_move(stream)) return;
  while (!stream.in.empty()) {
    auto bytes = stream.in.bytes();
    if (stream.shows_body) {
      bytes = bytes.first(std::min(bytes.size(), show_room(stream)));
      if (bytes.empty()) {
        if (!stream.read_blocked) enqueue(stream);
        return;
      }
    }
    const size_t count = bytes.size();
    if (is_raw) move_raw(stream, bytes);
    else move_body(stream, bytes, stream.remote_ended && stream.trailers == nullptr && count == stream.in.size());
    if (stream.ended) return;
    stream.in.consume(count);
  }
  if (!stream.remote_ended) return;
  if (is_raw) end_raw(stream);
  else body_read(stream, 0);
}

/// Bytes of a tunnel.
void Engine::move_raw(Stream& stream, std::span<const uint8_t> data) {
  stream.owed += data.size();
  Endpoint* const to = find(stream.rx_to);
  if (to == nullptr) return;
  if (to->is_stream) {
    put_stream_data(static_cast<Stream&>(*to), data, false);
  } else {
    touch(static_cast<Connection&>(*to));
    send_or_queue(static_cast<Connection&>(*to), data);
  }
  settle(stream, *to);
}
void Engine::end_raw(Stream& stream) {
  stream.rx = Rx::kEof;
  if (Endpoint* to = find(stream.rx_to); to != nullptr) end_tunnel_to(*to);
  if (!stream.ended && stream.local_ended) finish_stream(stream, CloseReason::kDone, 0, false);
}

/// Bytes have gone on, or were thrown away: the peer may send as many more.
void Engine::give_back(Stream& stream, uint64_t bytes) {
  stream.owed -= bytes;
  if (bytes == 0 || stream.parent == nullptr || stream.parent->ended) return;
  http2::Connection& codec = codec_of(*stream.parent);
  codec.consume(stream.id, static_cast<uint32_t>(bytes));
  if (!codec.output().empty()) mark_dirty(*stream.parent);
}

/// As much as may go becomes frames; the rest waits. `ends`: with its last byte the message is over.
void Engine::put_stream_data(Stream& to, std::span<const uint8_t> data, bool ends) {
  Connection* const connection = to.parent;
  if (connection == nullptr || to.ended || to.local_ended) return;
  while (!data.empty() && to.out.empty() && waiting(*connection) <= to.profile->high_water) {
    http2::Connection& codec = codec_of(*connection);
    const auto piece = data.first(std::min(data.size(), kSendBytes));
    const bool is_last = ends && piece.size() == data.size();
    const int64_t went = codec.data(to.id, piece, is_last);
    if (went < 0) return;  // the stream is gone: who decides will be told
    to.sent += static_cast<uint64_t>(went);
    data = data.subspan(static_cast<size_t>(went));
    if (is_last && data.empty()) to.local_ended = true;
    mark_dirty(*connection);
    if (codec.output().size() >= kSendBytes && !connection->connecting && connection->write_error == 0) {
      send_some(*connection);
      if (connection->ended) return;
    }
    if (static_cast<size_t>(went) < piece.size()) break;
  }
  if (data.empty()) return;
  to.out.append(data);
  if (ends) to.end_waits = true;
  block(to);
}

void Engine::block(Stream& to) {
  if (waiting(*to.parent) > to.profile->high_water) to.parent->streams->holds_senders = true;
  if (to.is_blocked) return;
  to.is_blocked = true;
  to.parent->streams->blocked.push_back(to.handle);
}

/// The peer lets more be sent: on one stream, or (0) on any.
void Engine::on_window(Connection& connection, uint32_t id) {
  Streams& streams = *connection.streams;
  if (streams.blocked.empty()) return;
  if (id == 0) {
    pump_out(connection);
  } else if (Stream** const found = streams.by_id.find(id); found != nullptr) {
    Stream& stream = **found;
    while (!stream.ended && stream.is_blocked && pump_stream(stream)) {
    }
  }
}

/// Streams with bytes that wait send what they may, in turn.
void Engine::pump_out(Connection& connection) {
  Streams& streams = *connection.streams;
  bool progress = true;
  while (progress) {
    progress = false;
    size_t kept = 0;
    size_t served = 0;
    // Streams may be added while this runs, at the end.
    for (size_t i = 0; i < streams.blocked.size(); i++) {
      const Handle handle = streams.blocked[i];
      Stream* const stream = find_stream(handle);
      if (stream == nullptr) continue;
      const bool went = pump_stream(*stream);
      if (connection.ended) return;
      if (!stream->ended && !stream->out.empty()) streams.blocked[kept++] = handle;
      else stream->is_blocked = false;
      if (!went) continue;
      progress = true;
      served = kept;
    }
    streams.blocked.resize(kept);
    // Where the connection takes no more, the next turn is that of the one behind.
    std::rotate(streams.blocked.begin(), streams.blocked.begin() + static_cast<ptrdiff_t>(served), streams.blocked.end());
  }
  if (!streams.blocked.empty() && waiting(connection) > connection.profile->high_water) streams.holds_senders = true;
}

/// One turn of a stream with bytes that wait. True: some went into frames.
bool Engine::pump_stream(Stream& stream) {
  Connection& connection = *stream.parent;
  if (stream.out.empty() || waiting(connection) > connection.profile->high_water || connection.write_error != 0) return false;
  http2::Connection& codec = codec_of(connection);
  const auto piece = stream.out.bytes().first(std::min(stream.out.size(), kTurnBytes));
  const bool is_last = stream.end_waits && stream.out_trailers == nullptr && piece.size() == stream.out.size();
  const int64_t went = codec.data(stream.id, piece, is_last);
  if (went <= 0) return false;
  stream.sent += static_cast<uint64_t>(went);
  stream.out.consume(static_cast<size_t>(went));
  if (is_last && stream.out.empty()) stream.local_ended = true;
  mark_dirty(connection);
  if (codec.output().size() >= kSendBytes && !connection.connecting) {
    send_some(connection);
    if (connection.ended) return true;
  }
  let_on(stream);
  if (!stream.out.empty()) return true;
  const bool ends = std::exchange(stream.end_waits, false);
  if (ends && !stream.local_ended) {
    const auto trailers = std::move(stream.out_trailers);
    (void)put_end(stream, trailers == nullptr ? Trailers{} : Trailers{trailers->lines(), trailers->table});
  }
  if (stream.closing) end_flushed(stream);
  else if (ends) end_gone(stream);
  return true;
}

/// The end of what a stream sends, which had to wait (or ended a tunnel), is in frames.
void Engine::end_gone(Stream& to) {
  if (to.ended) return;
  if (to.in_tunnel && (to.rx == Rx::kRaw || to.rx == Rx::kEof)) {
    if (to.rx == Rx::kEof) finish_stream(to, CloseReason::kDone, 0, false);
    return;
  }
  if (Endpoint* from = find(to.tx_from); from != nullptr) {
    if (from->rx == Rx::kEnding && !from->shows_body) body_done(*from, from->is_stream ? 0 : static_cast<Connection*>(from)->in.size());
    return;
  }
  to.tx = Tx::kDone;
  if (to.is_downstream()) exchange_done(to);
  else if (to.rx == Rx::kDone) finish_stream(to, CloseReason::kDone, 0, false);
}

// ---- ends ---------------------------------------------------------------------------------------------------------------------------------

/// A request that asked for a tunnel did not get one: its end is said now.
void Engine::end_request(Stream& stream) {
  if (!std::exchange(stream.in_tunnel, false) || stream.local_ended || stream.parent == nullptr) return;
  (void)codec_of(*stream.parent).data(stream.id, {}, true);
  stream.local_ended = true;
  mark_dirty(*stream.parent);
}

/// Downstream: the response is over. What is left of the request is not wanted (RFC 9113 §8.1).
void Engine::stream_ended(Stream& stream) {
  if (!stream.remote_ended) reset_stream(stream, kErrorNoError);
  finish_stream(stream, CloseReason::kDone, 0, false);
}

/// No further stream after this one.
void Engine::drain_of(Stream& stream) {
  if (stream.parent != nullptr && !stream.parent->closing && !stream.parent->streams->is_draining) drain(stream.parent->handle);
}

void Engine::reset_stream(Stream& stream, uint32_t error) {
  if (stream.parent == nullptr || stream.id == 0) return;
  codec_of(*stream.parent).reset(stream.id, error);
  mark_dirty(*stream.parent);
}

/// All of an upstream's message has come: it goes on to its end although the stream, or its connection, has gone.
void Engine::outlive(Stream& stream) {
  if (Endpoint* from = find(stream.tx_from); from != nullptr && from->rx_to == stream.handle) {
    from->rx_to = kNoHandle;
    from->read_blocked = false;
    if (from->rx == Rx::kEnding) from->rx = Rx::kDone;
  }
  stream.tx_from = kNoHandle;
  stream.tx = Tx::kDone;
  stream.local_ended = true;
  stream.out.clear();
}

void Engine::finish_stream(Stream& stream, CloseReason reason, uint32_t error, bool has_code) {
  if (stream.ended) return;
  detach(stream);
  stream.ended = true;
  wheel_.remove(stream);
  Connection* const connection = stream.parent;
  if (connection != nullptr) {
    if (const uint64_t left = stream.owed + stream.in.size(); left > 0 && !connection->ended) {
      http2::Connection& codec = codec_of(*connection);
      codec.consume(stream.id, static_cast<uint32_t>(left));
      if (!codec.output().empty()) mark_dirty(*connection);
    }
    forget_stream(stream);
  }
  stream.in.clear();
  stream.out.clear();
  give_retained(std::move(stream.retained));
  for (auto* head : {&stream.head, &stream.trailers, &stream.out_trailers}) give_head(std::move(*head));
  for (auto& head : stream.later) give_head(std::move(head));
  ended_.push_back(index_of(stream.handle));
  if (has_code) emit(EventKind::kClosed, stream.handle, static_cast<int32_t>(reason), 0, static_cast<int32_t>(error), 1);
  else emit(EventKind::kClosed, stream.handle, static_cast<int32_t>(reason), static_cast<int32_t>(error));
  if (connection == nullptr || connection->closing || connection->ended || connection->streams->count > 0) return;
  touch(*connection);
  end_if_drained(*connection);
}

/// The connection ends, and with it its streams; those of which all has come, from a peer that has gone, go on alone.
void Engine::end_streams(Connection& connection, CloseReason reason, int error) {
  while (Stream* stream = connection.streams->first) {
    const bool has_come = !stream->is_downstream() && stream->remote_ended && (stream->rx == Rx::kPending || stream->rx == Rx::kBody || stream->rx == Rx::kEnding);
    if (has_come && reason != CloseReason::kLocal) {
      forget_stream(*stream);
      outlive(*stream);
      stream->parent = nullptr;
    } else {
      finish_stream(*stream, reason, static_cast<uint32_t>(error), false);
    }
  }
}

void Engine::close_stream(Stream& stream, CloseHow how) {
  if (stream.closing && how == CloseHow::kFlush) return;
  if (how == CloseHow::kFlush && !stream.out.empty() && stream.parent != nullptr) {
    detach(stream);
    stream.closing = true;
    give_back(stream, stream.owed);
    stream.owed = stream.in.size();
    stream.in.clear();
    give_back(stream, stream.owed);
    wheel_.start(stream, now_ms_, now_ms_ + kFlushMs);
    if (!awake_) schedule();
    return;
  }
  if (how == CloseHow::kFlush) {
    end_flushed(stream);
    return;
  }
  reset_stream(stream, how == CloseHow::kRefuse ? kErrorRefusedStream : stream.is_downstream() ? kErrorInternalError : kErrorCancel);
  finish_stream(stream, CloseReason::kLocal, 0, false);
}

/// What was queued has gone (or takes too long).
void Engine::end_flushed(Stream& stream) {
  const bool is_out = stream.out.empty();
  if (is_out && stream.in_tunnel && !stream.local_ended && stream.parent != nullptr && stream.id != 0) {
    (void)codec_of(*stream.parent).data(stream.id, {}, true);
    stream.local_ended = true;
  }
  const bool is_regular = is_out && stream.local_ended;
  reset_stream(stream, is_regular ? kErrorNoError : stream.is_downstream() ? kErrorInternalError : kErrorCancel);
  finish_stream(stream, CloseReason::kLocal, 0, false);
}

/// A drained connection closes when its last stream has, and its last GOAWAY is out.
void Engine::end_if_drained(Connection& connection) {
  if (!connection.close_after || connection.closing || connection.ended || connection.streams->count > 0 || !connection.streams->codec.is_drained()) return;
  start_closing(connection);
}

// ---- commands -----------------------------------------------------------------------------------------------------------------------------

Handle Engine::open_stream(Handle handle) {
  Connection* connection = find_connection(handle);
  if (connection == nullptr || connection->streams == nullptr || connection->is_downstream() || connection->closing || connection->close_after || !has_slot()) {
    return kNoHandle;
  }
  Streams& streams = *connection->streams;
  if (!streams.codec.can_open(streams.unsent)) return kNoHandle;
  Stream& stream = add_stream(*connection);
  streams.unsent++;
  return stream.handle;
}

void Engine::ping(Handle handle) {
  Connection* connection = find_connection(handle);
  if (connection == nullptr || connection->streams == nullptr || connection->closing) return;
  codec_of(*connection).ping(kPingLow, kPingHigh);
  mark_dirty(*connection);
}

}  // namespace sluice
