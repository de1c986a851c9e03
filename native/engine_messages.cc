// Messages and exchanges of the engine: heads, bodies and their ends, between any two endpoints.
#include <algorithm>
#include <array>
#include <utility>

#include "engine_connection.h"

namespace sluice {

using http1::BodyFraming;
using http1::BodyReader;
using http1::HeadParser;
using http1::OutHead;

namespace {
int32_t at(std::span<const int32_t> table, int word) noexcept { return word_of(table, word); }

/// A request without a body that HTTP/1 says so of (RFC 9110 §8.6).
bool says_no_body(const std::span<const int32_t> table, const uint8_t* base) noexcept {
  const std::string_view method(reinterpret_cast<const char*>(base) + at(table, layout::kHeadMethod), static_cast<size_t>(at(table, layout::kHeadMethodBytes)));
  return method == "POST" || method == "PUT" || method == "PATCH";
}
}  // namespace

bool Engine::has_messages(const Endpoint& endpoint) noexcept { return endpoint.is_stream || endpoint.profile->framing == FramingKind::kHttp1; }

Engine::MessageHead Engine::head_of(const Endpoint& endpoint) noexcept {
  if (endpoint.rx != Rx::kPending && endpoint.retained == nullptr) return {};
  if (endpoint.is_stream) {
    const auto& head = static_cast<const Stream&>(endpoint).head;
    return head == nullptr ? MessageHead{} : MessageHead{head->table, head->bytes.data(), 0, head->bytes.size()};
  }
  const auto& connection = static_cast<const Connection&>(endpoint);
  if (connection.parser == nullptr) return {};
  const auto table = connection.parser->table();
  const uint8_t* const base = connection.rx == Rx::kPending ? connection.in.data() : connection.retained->head.data();
  return {table, base, connection.parser->skipped(), static_cast<size_t>(at(table, layout::kHeadHeadBytes))};
}

int32_t Engine::head(Handle handle) {
  const Endpoint* endpoint = find(handle);
  if (endpoint == nullptr) return -1;
  const MessageHead head = head_of(*endpoint);
  return head.table.empty() ? -1 : place_head(head, false);
}

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
  emit(EventKind::kHead, connection.handle, place_head(head_of(connection), true));
}

void Engine::fault(Connection& connection, const http1::Fault& fault, bool in_body) {
  connection.rx = Rx::kFaulted;
  connection.close_after = true;
  disarm(connection);
  emit(EventKind::kFault, connection.handle, fault_number(fault.code), static_cast<int32_t>(fault.offset), fault.status, in_body ? kFaultInBody : kFaultInHead);
}

/// The pending head has been dealt with; a retained one stays.
void Engine::take_head(Endpoint& from, size_t head_bytes) {
  if (!from.is_stream) static_cast<Connection&>(from).in.consume(head_bytes);
  if (from.retained == nullptr) drop_head(from);
}

void Engine::drop_head(Endpoint& endpoint) {
  if (endpoint.is_stream) {
    give_head(std::move(static_cast<Stream&>(endpoint).head));
    return;
  }
  auto& connection = static_cast<Connection&>(endpoint);
  if (connection.parser == nullptr) return;
  if (parsers_.size() < BlockPool::kMaxFree) parsers_.push_back(std::move(connection.parser));
  connection.parser.reset();
}

std::unique_ptr<Retained> Engine::take_retained() {
  if (retained_.empty()) return std::make_unique<Retained>();
  auto retained = std::move(retained_.back());
  retained_.pop_back();
  return retained;
}
void Engine::give_retained(std::unique_ptr<Retained> retained) {
  if (retained == nullptr || retained_.size() == kSpareRetained || retained->body.capacity() + retained->head.capacity() > kSpareRetainedBytes) return;
  retained->head.clear();
  retained->body.clear();
  retained->trailers.clear();
  retained_.push_back(std::move(retained));
}

void Engine::drop_retained(Endpoint& endpoint) {
  if (endpoint.retained == nullptr) return;
  give_retained(std::move(endpoint.retained));
  if (endpoint.rx != Rx::kPending) drop_head(endpoint);
}

// ---- bodies -------------------------------------------------------------------------------------------------------------------------------

/// Moves bytes that an HTTP/1 connection has read on; answers how many of `input` were taken.
size_t Engine::pump_bytes(Connection& connection, std::span<const uint8_t> input) {
  const Handle handle = connection.handle;
  if (connection.rx == Rx::kRaw) {
    touch(connection);
    if (Endpoint* to = find(connection.rx_to); to != nullptr) {
      if (to->is_stream) {
        put_stream_data(static_cast<Stream&>(*to), input, false);
      } else {
        touch(static_cast<Connection&>(*to));
        send_or_queue(static_cast<Connection&>(*to), input);
      }
      settle(connection, *to);
    }
    return input.size();
  }
  size_t taken = 0;
  while (true) {
    auto next = input.subspan(taken);
    if (connection.shows_body) {
      next = next.first(std::min(next.size(), show_room(connection)));
      if (next.empty() && taken < input.size()) {
        enqueue(connection);
        return taken;
      }
    }
    const BodyReader::Piece piece = connection.body.next(next);
    taken += piece.consumed;
    if (piece.kind == BodyReader::Piece::Kind::kFault) {
      fault(connection, piece.fault, true);
      return taken;
    }
    if (!piece.data.empty()) {
      move_body(connection, piece.data, connection.body.is_used_up());
      if (find(handle) == nullptr) return taken;
    }
    if (piece.kind == BodyReader::Piece::Kind::kEnd) {
      body_read(connection, input.size() - taken);
      return taken;
    }
    if (taken < input.size()) continue;
    // Data used the input up; whether the message ends here is known without another byte.
    if (piece.kind != BodyReader::Piece::Kind::kMore && connection.rx == Rx::kBody && !connection.body.mid_message()) {
      if (connection.body.next({}).kind == BodyReader::Piece::Kind::kEnd) body_read(connection, 0);
    }
    return taken;
  }
}

/// A piece of a body that was read goes on: to the other side, or to whoever wants to see it. `ends`: it is the last, and no trailers follow.
void Engine::move_body(Endpoint& from, std::span<const uint8_t> data, bool ends) {
  from.message_bytes += data.size();
  // Of a shown body what is sent in its place is kept.
  if (!from.shows_body) keep_body(from, data);
  if (from.is_stream) {
    auto& stream = static_cast<Stream&>(from);
    stream.owed += data.size();
    if (stream.discard) {
      give_back(stream, stream.owed);
      return;
    }
  }
  if (from.shows_body) {
    show_body(from, data);
    return;
  }
  Endpoint* const to = find(from.rx_to);
  if (to == nullptr) return;
  put_body(*to, data, ends && !from.shows_trailers);
  settle(from, *to);
}

void Engine::keep_body(Endpoint& from, std::span<const uint8_t> data) {
  if (from.retained == nullptr) return;
  auto& kept = from.retained->body;
  if (kept.size() + data.size() <= from.profile->max_retain) kept.insert(kept.end(), data.begin(), data.end());
  else drop_retained(from);
}

/// Its body has somewhere to go.
bool Engine::may_move(const Endpoint& from) noexcept { return !from.held && !from.paused && (from.rx_to != kNoHandle || from.discard || from.is_own); }

/// Bytes of a body that may be shown now: as the batch has room, and no more at once than will be looked at before the next come.
size_t Engine::show_room(const Endpoint& from) const noexcept {
  if (from.read_blocked || events_.size() + 8 > kMaxEvents) return 0;
  const size_t shown = from.shown_in == batch_ ? from.shown_bytes : 0;
  return shown >= kShowBytes ? 0 : std::min(kShowBytes - shown, arena_room() & ~size_t{3});
}

/// Within `show_room`.
void Engine::show_body(Endpoint& from, std::span<const uint8_t> data) {
  if (data.empty()) return;
  if (from.shown_in != batch_) from.shown_bytes = 0;
  from.shown_in = batch_;
  from.shown_bytes += data.size();
  const int32_t where = place_bytes(data);
  emit(EventKind::kBody, from.handle, where, static_cast<int32_t>(data.size()));
  if (from.is_stream) enqueue(from);  // given back to the window once it has been seen
}

Engine::Trailers Engine::trailers_of(const Endpoint& from) noexcept {
  if (from.retained != nullptr && !from.retained->trailers.empty()) {
    return {{reinterpret_cast<const char*>(from.retained->trailers.data()), from.retained->trailers.size()}, {}};
  }
  if (!from.is_stream) return {static_cast<const Connection&>(from).body.trailers(), {}};
  const auto& trailers = static_cast<const Stream&>(from).trailers;
  return trailers == nullptr ? Trailers{} : Trailers{trailers->lines(), trailers->table};
}

/// All of a message has been read; `unread` bytes of an HTTP/1 connection have come behind it.
void Engine::body_read(Endpoint& from, size_t unread) {
  if (!from.discard) {
    const Trailers trailers = trailers_of(from);
    if (from.shows_body || from.shows_trailers) {
      const auto lines = std::span(trailers.base(), trailers.lines.size());
      from.end_untold = !lines.empty() && !arena_fits(lines.size() + 4);
      if (from.end_untold) {
        enqueue(from);
        return;
      }
      const int32_t where = place_bytes(lines);
      emit(EventKind::kTrailers, from.handle, where, static_cast<int32_t>(lines.size()));
    }
    Endpoint* const to = find(from.rx_to);
    const bool waits_for_end = from.shows_body && !from.is_own;
    const bool asks_tunnel = to != nullptr && to->is_stream && static_cast<Stream*>(to)->in_tunnel;
    if (waits_for_end || (to != nullptr && !asks_tunnel && !put_end(*to, trailers))) {
      from.rx = Rx::kEnding;
      from.read_blocked = false;
      from.held = false;
      return;
    }
  }
  body_done(from, unread);
}

/// The last byte of a message has been moved (or thrown away), its end too; `unread` bytes that came behind it wait.
void Engine::body_done(Endpoint& from, size_t unread) {
  from.rx = Rx::kDone;
  from.read_blocked = false;
  from.held = false;
  from.shows_body = from.shows_trailers = from.is_own = from.end_untold = false;
  const bool thrown_away = std::exchange(from.discard, false);
  Endpoint* const to = find(from.rx_to);
  if (to != nullptr) {
    to->tx = Tx::kDone;
    to->tx_from = kNoHandle;
    from.rx_to = kNoHandle;
  }
  moved_bytes_ = from.message_bytes;
  int flags = kForwardDone;
  if (from.is_stream) {
    if (!from.is_downstream() && from.tx == Tx::kDone) flags |= kForwardReusable;
  } else if (!from.is_downstream()) {
    auto& connection = static_cast<Connection&>(from);
    if (from.tx == Tx::kDone && from.keep_alive && !connection.eof && !connection.hup && connection.write_error == 0 && !from.close_after && unread == 0) {
      from.rx = Rx::kIdle;
      from.tx = Tx::kIdle;
      touch(connection);
      if (connection.readable) enqueue(from);  // bytes that nobody asked for are seen before the next request goes out
      flags |= kForwardReusable;
    }
  }
  if (quiet_from_ == from.handle) {
    quiet_flags_ = flags;
  } else if (!thrown_away) {
    emit(EventKind::kEnd, from.handle, static_cast<int32_t>(from.message_bytes & 0xffffffff), static_cast<int32_t>(from.message_bytes >> 32), flags);
  }
  if (from.is_downstream()) {
    if (to != nullptr && to->is_stream && to->rx == Rx::kDone) finish_stream(static_cast<Stream&>(*to), CloseReason::kDone, 0, false);
    if (from.tx == Tx::kDone) exchange_done(from);
    return;
  }
  if (from.is_stream && from.tx == Tx::kDone) finish_stream(static_cast<Stream&>(from), CloseReason::kDone, 0, false);
  if (to != nullptr) exchange_done(*to);
}

/// Downstream: on to the next request, or to the end, once both directions are through.
void Engine::exchange_done(Endpoint& endpoint) {
  if (endpoint.tx != Tx::kDone || endpoint.ended || endpoint.closing) return;
  if (endpoint.is_stream) {
    stream_ended(static_cast<Stream&>(endpoint));
    return;
  }
  auto& connection = static_cast<Connection&>(endpoint);
  if (connection.rx == Rx::kBody && connection.discard && !connection.close_after) return;
  drop_retained(connection);
  if (connection.rx == Rx::kEnding) {
    // All of the request was read; what the upstream has not taken of it is of no use any more.
    detach(connection);
    connection.rx = Rx::kDone;
  }
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

// ---- forward ------------------------------------------------------------------------------------------------------------------------------

int Engine::forward(Handle from_handle, Handle to_handle, const EditsRef& edits) {
  Endpoint* from = find(from_handle);
  Endpoint* to = find(to_handle);
  if (from == nullptr || to == nullptr || from->closing || to->closing || !has_messages(*from) || !has_messages(*to) || from->profile->side == to->profile->side) {
    return kForwardStale;
  }
  const MessageHead head = head_of(*from);
  if (head.table.empty()) return kForwardStale;
  return from->is_downstream() ? forward_request(*from, *to, head, edits) : forward_response(*from, *to, head, edits);
}

/// How a request's body is framed, as HTTP/1 has it.
BodyFraming Engine::start_request(Endpoint& from, const MessageHead& head) {
  if (!from.is_stream) {
    const BodyFraming framing = static_cast<Connection&>(from).body.start(head.table, nullptr);
    return framing == BodyFraming::kNone && content_length(head.table) == 0 ? BodyFraming::kLength : framing;
  }
  const int32_t flags = at(head.table, layout::kHeadFlags);
  // What follows is for the tunnel, if there will be one.
  if (static_cast<Stream&>(from).in_tunnel) return BodyFraming::kNone;
  if (content_length(head.table) >= 0) return BodyFraming::kLength;
  if ((flags & layout::kFlagEnd) == 0) return BodyFraming::kChunked;
  return says_no_body(head.table, head.base) ? BodyFraming::kLength : BodyFraming::kNone;
}

int Engine::forward_request(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits) {
  const bool again = from.rx != Rx::kPending;
  if (again && from.rx != Rx::kBody && from.rx != Rx::kDone && from.rx != Rx::kEnding) return kForwardStale;
  if (from.tx != Tx::kIdle || to.rx != Rx::kIdle || to.tx != Tx::kIdle || (!to.is_stream && static_cast<Connection&>(to).eof)) return kForwardStale;
  const int32_t flags = at(edits.ints, layout::kEditFlags);
  // `out_framing` of the downstream side holds the request's own framing until the response begins.
  if (!again) from.out_framing = start_request(from, head);
  const BodyFraming framing = from.out_framing;
  const bool is_upgrade = (flags & layout::kEditFlagUpgrade) != 0;
  const bool asks_tunnel = from.request.is_connect || (from.request.is_upgrade && is_upgrade);
  // All of it is in the head.
  const bool is_over = from.is_stream ? (at(head.table, layout::kHeadFlags) & layout::kFlagEnd) != 0 || asks_tunnel
                                      : framing == BodyFraming::kNone || (framing == BodyFraming::kLength && content_length(head.table) <= 0);
  const bool shows_body = (flags & layout::kEditFlagShowBody) != 0 && !asks_tunnel;
  OutHead how;
  how.framing = shows_body ? BodyFraming::kChunked : framing;
  how.content_length = content_length(head.table);
  if (framing == BodyFraming::kLength && how.content_length < 0 && !to.is_stream) how.content_length = 0;
  how.close = (flags & layout::kEditFlagClose) != 0;
  how.upgrade = to.is_stream ? asks_tunnel && !from.request.is_connect : is_upgrade;
  const bool is_read = from.rx == Rx::kDone || (from.rx == Rx::kEnding && !from.shows_body);
  const bool is_kept = again && is_read && from.retained->body.empty() && trailers_of(from).empty();
  if (!put_head(to, head, edits, how, (is_over || is_kept) && !asks_tunnel && !shows_body)) return kForwardStale;
  to.request = from.request;
  to.request.is_upgrade = is_upgrade;
  to.rx = Rx::kHead;
  to.tx = Tx::kBody;
  to.out_framing = how.framing;
  to.tx_from = from.handle;
  if (to.is_stream) {
    static_cast<Stream&>(to).in_tunnel = asks_tunnel;
  } else {
    disarm(static_cast<Connection&>(to));
    to.close_after = how.close;
  }
  if (Endpoint* before = find(from.rx_to); before != nullptr) before->tx_from = kNoHandle;
  from.rx_to = to.handle;
  from.read_blocked = false;
  if (again) return forward_again(from, to, is_read);
  from.shows_body = shows_body;
  from.shows_trailers = (flags & layout::kEditFlagShowTrailers) != 0 && !asks_tunnel;
  if ((flags & layout::kEditFlagRetain) != 0) {
    from.retained = take_retained();
    if (!from.is_stream) from.retained->head.assign(head.base, head.base + head.skipped + head.bytes);
  }
  from.rx = Rx::kBody;
  take_head(from, head.skipped + head.bytes);
  from.held = (flags & layout::kEditFlagHoldBody) != 0;
  return start_body(from, is_over);
}

/// The kept body goes to another upstream, then what is still to come.
int Engine::forward_again(Endpoint& from, Endpoint& to, bool is_read) {
  put_body(to, from.retained->body, false);
  if (to.ended) return kForwardStale;
  if (!is_read) {
    settle(from, to);
    enqueue(from);
    return kForwardOpen;
  }
  from.shows_body = from.shows_trailers = false;
  quiet_from_ = from.handle;
  quiet_flags_ = kForwardOpen;
  body_read(from, 0);
  quiet_from_ = kNoHandle;
  return quiet_flags_;
}

/// How a response's body is framed, as HTTP/1 has it.
BodyFraming Engine::start_response(Endpoint& from, const MessageHead& head) {
  if (!from.is_stream) {
    auto& connection = static_cast<Connection&>(from);
    const BodyFraming framing = connection.body.start(head.table, &from.request);
    if (framing == BodyFraming::kUntilClose) from.keep_alive = false;
    return framing;
  }
  const int32_t status = at(head.table, layout::kHeadStatus);
  if (status == 204 || status == 304 || from.request.is_head) return BodyFraming::kNone;
  const bool is_over = (at(head.table, layout::kHeadFlags) & layout::kFlagEnd) != 0;
  return is_over || content_length(head.table) >= 0 ? BodyFraming::kLength : BodyFraming::kChunked;
}

/// A 1xx: the head alone; others follow.
int Engine::forward_informational(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits) {
  const int32_t changed = at(edits.ints, layout::kEditStatus);
  const int32_t status = changed != 0 ? changed : at(head.table, layout::kHeadStatus);
  if (to.client_http11) {
    if (!put_head(to, head, edits, {}, false)) return kForwardStale;
    if (is_full(to)) {
      from.read_blocked = true;
      to.tx_from = from.handle;
      if (to.is_stream && static_cast<Stream&>(to).parent != nullptr) static_cast<Stream&>(to).parent->streams->holds_senders = true;
    }
  }
  informational_over(from, head.skipped + head.bytes);
  if (status == 100 && to.held) release_body(to.handle);
  return kForwardDone;
}

/// A 1xx has been dealt with: the next head.
void Engine::informational_over(Endpoint& from, size_t head_bytes) {
  take_head(from, head_bytes);
  from.rx = Rx::kHead;
  if (from.is_stream || !static_cast<Connection&>(from).in.empty() || static_cast<Connection&>(from).readable) enqueue(from);
}

/// The answer that begins a tunnel has the status of the protocol that it goes to: 101 is what HTTP/2 calls 200 (RFC 8441 §5).
bool Engine::put_tunnel_head(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits) {
  const int32_t status = at(head.table, layout::kHeadStatus);
  OutHead how;
  how.upgrade = !to.is_stream && (status == 101 || (from.is_stream && to.request.is_upgrade));
  const int32_t own = to.is_stream ? (status == 101 ? 200 : 0) : how.upgrade && status != 101 ? 101 : 0;
  if (own == 0 || at(edits.ints, layout::kEditStatus) != 0) return put_head(to, head, edits, how, false);
  std::vector<int32_t> ints(edits.ints.begin(), edits.ints.end());
  ints[layout::kEditStatus] = own;
  return put_head(to, head, {ints, edits.bytes}, how, false);
}

int Engine::forward_response(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits) {
  if (from.rx != Rx::kPending || to.tx != Tx::kIdle || (to.rx != Rx::kBody && to.rx != Rx::kEnding && to.rx != Rx::kDone)) return kForwardStale;
  const int32_t flags = at(edits.ints, layout::kEditFlags);
  const int32_t received = at(head.table, layout::kHeadStatus);
  const bool is_tunnel = (flags & layout::kEditFlagTunnel) != 0;
  if (received == 101 && !is_tunnel) return kForwardStale;
  if (received < 200 && received != 101) return forward_informational(from, to, head, edits);
  drop_retained(to);
  OutHead how;
  if (is_tunnel) {
    if (!put_tunnel_head(from, to, head, edits)) return kForwardStale;
    take_head(from, head.skipped + head.bytes);
    begin_tunnel(from, to);
    return kForwardDone;
  }
  const BodyFraming framing = start_response(from, head);
  const int64_t length = content_length(head.table);
  const bool may_have_body = framing != BodyFraming::kNone;
  const bool is_over = from.is_stream ? (at(head.table, layout::kHeadFlags) & layout::kFlagEnd) != 0
                                      : !may_have_body || (framing == BodyFraming::kLength && length == 0);
  const bool shows_body = (flags & layout::kEditFlagShowBody) != 0 && may_have_body;
  const bool shows_trailers = (flags & layout::kEditFlagShowTrailers) != 0;
  how.framing = framing == BodyFraming::kUntilClose || shows_body ? BodyFraming::kChunked : framing;
  if (how.framing == BodyFraming::kChunked && !to.client_http11) how.framing = BodyFraming::kUntilClose;
  how.content_length = length;
  if (from.is_stream && is_over && may_have_body && length < 0 && !to.is_stream) how.content_length = 0;
  if (to.is_stream) {
    how.close = (flags & layout::kEditFlagClose) != 0;
  } else {
    const bool is_read = to.rx == Rx::kDone || to.rx == Rx::kEnding;
    if (!is_read || !to.keep_alive || (flags & layout::kEditFlagClose) != 0 || how.framing == BodyFraming::kUntilClose || static_cast<Connection&>(to).eof) to.close_after = true;
    how.close = to.close_after;
    how.keep_alive = !how.close && !to.client_http11;
  }
  if (!put_head(to, head, edits, how, is_over && !shows_body)) return kForwardStale;
  if (to.is_stream && how.close) drain_of(static_cast<Stream&>(to));
  from.shows_body = shows_body;
  from.shows_trailers = shows_trailers;
  to.tx = Tx::kBody;
  to.out_framing = how.framing;
  to.tx_from = from.handle;
  from.rx_to = to.handle;
  from.rx = Rx::kBody;
  take_head(from, head.skipped + head.bytes);
  if (from.is_stream) end_request(static_cast<Stream&>(from));
  if (to.is_stream) static_cast<Stream&>(to).in_tunnel = false;
  return start_body(from, is_over);
}

/// Moves what has already arrived of a body whose head was just sent. An end found here is told by `forward`'s answer, not by an event.
int Engine::start_body(Endpoint& from, bool is_over) {
  // What is shown, and the end behind it, is told by events.
  if (!from.shows_body && !from.shows_trailers) quiet_from_ = from.handle;
  quiet_flags_ = kForwardOpen;
  if (is_over) {
    body_read(from, from.is_stream ? 0 : static_cast<Connection&>(from).in.size());
  } else if (from.is_stream) {
    pump_in(static_cast<Stream&>(from));
  } else if (!from.held) {
    auto& connection = static_cast<Connection&>(from);
    consume(connection);
    if (!from.ended && from.rx == Rx::kBody && connection.eof && connection.in.empty()) on_eof(connection);
    if (!from.ended && from.rx == Rx::kBody && connection.readable) enqueue(from);
  }
  quiet_from_ = kNoHandle;
  return quiet_flags_;
}

void Engine::release_body(Handle handle) {
  Endpoint* endpoint = find(handle);
  if (endpoint == nullptr || !endpoint->held) return;
  endpoint->held = false;
  enqueue(*endpoint);
}

bool Engine::can_replay(Handle handle) const {
  const Endpoint* endpoint = find(handle);
  return endpoint != nullptr && endpoint->tx == Tx::kIdle && (endpoint->retained != nullptr || endpoint->rx == Rx::kPending);
}

bool Engine::send_body(Handle handle, std::span<const uint8_t> bytes) {
  Endpoint* from = find(handle);
  if (from == nullptr || !from->shows_body || (from->rx != Rx::kBody && from->rx != Rx::kEnding)) return false;
  Endpoint* to = find(from->rx_to);
  if (to == nullptr) return false;
  keep_body(*from, bytes);
  put_body(*to, bytes, false);
  settle(*from, *to);
  return true;
}

bool Engine::end_body(Handle handle, std::span<const uint8_t> trailers) {
  Endpoint* from = find(handle);
  if (from == nullptr || !from->shows_body || from->rx != Rx::kEnding) return false;
  from->shows_body = false;
  if (from->retained != nullptr) from->retained->trailers.assign(trailers.begin(), trailers.end());
  Endpoint* to = find(from->rx_to);
  if (to != nullptr && !put_end(*to, {{reinterpret_cast<const char*>(trailers.data()), trailers.size()}, {}})) return true;
  body_done(*from, from->is_stream ? 0 : static_cast<Connection*>(from)->in.size());
  return true;
}

// ---- exchanges of our own -----------------------------------------------------------------------------------------------------------------

bool Engine::request(Handle handle, const EditsRef& edits, std::span<const uint8_t> body) {
  Endpoint* to = find(handle);
  if (to == nullptr || !has_messages(*to) || to->is_downstream() || to->closing || to->rx != Rx::kIdle || to->tx != Tx::kIdle) return false;
  Connection* const connection = to->is_stream ? nullptr : static_cast<Connection*>(to);
  if (connection != nullptr && connection->eof) return false;
  OutHead how;
  if (connection != nullptr && !body.empty()) {
    how.framing = BodyFraming::kLength;
    how.content_length = static_cast<int64_t>(body.size());
  }
  if (!put_head(*to, {}, edits, how, body.empty())) return false;
  const int32_t method = at(edits.ints, layout::kEditMethod);
  const int32_t method_bytes = at(edits.ints, layout::kEditMethodBytes);
  to->request = {};
  to->request.is_head = method_bytes == 4 && std::equal(edits.bytes.begin() + method, edits.bytes.begin() + method + 4, "HEAD");
  to->rx = Rx::kHead;
  to->tx = Tx::kDone;
  to->out_framing = how.framing;
  if (connection != nullptr) {
    disarm(*connection);
    connection->close_after = false;
  }
  put_body(*to, body, true);
  if (to->is_stream && !static_cast<Stream*>(to)->local_ended) to->tx = Tx::kBody;
  return true;
}

bool Engine::show(Handle handle) {
  Endpoint* from = find(handle);
  if (from == nullptr || !has_messages(*from) || from->is_downstream() || from->closing || from->rx != Rx::kPending) return false;
  const MessageHead head = head_of(*from);
  if (head.table.empty()) return false;
  const int32_t status = at(head.table, layout::kHeadStatus);
  const size_t head_bytes = head.skipped + head.bytes;
  if (status < 200 && status != 101) {
    informational_over(*from, head_bytes);
    return true;
  }
  const BodyFraming framing = start_response(*from, head);
  const bool is_over = from->is_stream ? (at(head.table, layout::kHeadFlags) & layout::kFlagEnd) != 0
                                       : framing == BodyFraming::kNone || (framing == BodyFraming::kLength && content_length(head.table) == 0);
  from->shows_body = from->shows_trailers = from->is_own = true;
  from->rx = Rx::kBody;
  take_head(*from, head_bytes);
  (void)start_body(*from, is_over);
  return true;
}

// ---- answers made here --------------------------------------------------------------------------------------------------------------------

bool Engine::reply(Handle handle, const EditsRef& edits, std::span<const uint8_t> body) {
  Endpoint* found = find(handle);
  if (found == nullptr || !found->is_downstream() || !has_messages(*found) || found->tx != Tx::kIdle || found->closing) return false;
  Endpoint& endpoint = *found;
  Connection* const connection = endpoint.is_stream ? nullptr : static_cast<Connection*>(found);
  const int32_t status = at(edits.ints, layout::kEditStatus);
  OutHead how;
  if (status < 200) {
    endpoint.expects_continue = false;
    return !endpoint.client_http11 || put_head(endpoint, {}, edits, how, false);
  }
  if (connection != nullptr) {
    if (endpoint.rx != Rx::kPending && endpoint.rx != Rx::kBody && endpoint.rx != Rx::kEnding && endpoint.rx != Rx::kDone && endpoint.rx != Rx::kFaulted) {
      // A time-out while a head was on its way: answered, then closed.
      if (endpoint.rx != Rx::kHead) return false;
      endpoint.close_after = true;
      endpoint.rx = Rx::kFaulted;
    }
    disarm(*connection);
  }
  if (Endpoint* to = find(endpoint.rx_to); to != nullptr) to->tx_from = kNoHandle;
  endpoint.rx_to = kNoHandle;
  endpoint.shows_body = endpoint.shows_trailers = false;
  if (endpoint.rx == Rx::kEnding) endpoint.rx = Rx::kDone;
  if (endpoint.rx == Rx::kPending) {
    const MessageHead head = head_of(endpoint);
    bool is_over = false;
    if (connection != nullptr) {
      const BodyFraming framing = connection->body.start(head.table, nullptr);
      is_over = framing == BodyFraming::kNone || (framing == BodyFraming::kLength && connection->body.remaining() == 0);
    }
    take_head(endpoint, head.skipped + head.bytes);
    endpoint.rx = is_over ? Rx::kDone : Rx::kBody;
  }
  drop_retained(endpoint);
  if (endpoint.rx == Rx::kBody) discard_body(endpoint);
  const bool closes = (at(edits.ints, layout::kEditFlags) & layout::kEditFlagClose) != 0;
  if (connection != nullptr && (closes || !endpoint.keep_alive || connection->eof)) endpoint.close_after = true;
  const bool bodiless = status == 204 || status == 304;
  how.framing = bodiless ? BodyFraming::kNone : BodyFraming::kLength;
  how.content_length = bodiless ? -1 : static_cast<int64_t>(body.size());
  how.close = connection != nullptr && endpoint.close_after;
  how.keep_alive = connection != nullptr && !how.close && !endpoint.client_http11;
  const bool has_body = !bodiless && !endpoint.request.is_head && !body.empty();
  if (!put_head(endpoint, {}, edits, how, !has_body)) return false;
  if (closes && connection == nullptr) drain_of(static_cast<Stream&>(endpoint));
  endpoint.out_framing = BodyFraming::kNone;
  endpoint.tx = Tx::kDone;
  if (has_body && connection != nullptr) {
    connection->out.append(body);
  } else if (has_body) {
    put_body(endpoint, body, true);
    if (!static_cast<Stream&>(endpoint).local_ended) endpoint.tx = Tx::kBody;
  }
  exchange_done(endpoint);
  return true;
}

/// The rest of a request that was answered here: thrown away where that is cheap, else the connection closes after the answer. A stream is simply reset.
void Engine::discard_body(Endpoint& endpoint) {
  endpoint.held = false;
  endpoint.read_blocked = false;
  endpoint.discard = true;
  if (endpoint.is_stream) {
    pump_in(static_cast<Stream&>(endpoint));
    return;
  }
  auto& connection = static_cast<Connection&>(endpoint);
  const Handle handle = connection.handle;
  if (std::exchange(connection.end_untold, false)) {
    body_read(connection, connection.in.size());
    return;
  }
  // Also what waits for room in a batch.
  const bool was_queued = std::exchange(connection.queued, false);
  consume(connection);
  connection.queued = connection.queued || was_queued;
  if (find(handle) == nullptr || connection.rx != Rx::kBody) return;
  const uint64_t left = connection.body.remaining();
  if (left == 0 || left > connection.profile->linger_bytes || connection.expects_continue) {
    connection.close_after = true;
  } else {
    if (connection.profile->linger_ms > 0) arm(connection, kTimerDiscard, connection.profile->linger_ms);
    enqueue(connection);
  }
}

// ---- tunnels ------------------------------------------------------------------------------------------------------------------------------

void Engine::begin_tunnel(Endpoint& a, Endpoint& b) {
  for (auto [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    one->rx = Rx::kRaw;
    one->tx = Tx::kBody;
    one->rx_to = other->handle;
    one->tx_from = other->handle;
    one->out_framing = BodyFraming::kNone;
    one->read_blocked = false;
    one->held = false;
    drop_head(*one);
    if (one->is_stream) static_cast<Stream*>(one)->in_tunnel = true;
    else touch(static_cast<Connection&>(*one));
    enqueue(*one);
  }
}

/// One direction of a tunnel is over.
void Engine::end_tunnel_to(Endpoint& to) {
  if (to.is_stream) {
    if (put_end(to, {})) end_gone(static_cast<Stream&>(to));
    return;
  }
  auto& connection = static_cast<Connection&>(to);
  connection.shut_after_flush = true;
  mark_dirty(connection);
}

void Engine::relay(Handle a, Handle b) {
  Connection* one = find_connection(a);
  Connection* other = find_connection(b);
  if (one == nullptr || other == nullptr || one == other || one->closing || other->closing || one->streams != nullptr || other->streams != nullptr) return;
  if (one->rx == Rx::kIdle) one->rx = Rx::kRaw;
  if (other->rx == Rx::kIdle) other->rx = Rx::kRaw;
  begin_tunnel(*one, *other);
}

}  // namespace sluice
