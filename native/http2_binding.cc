// A connection of HTTP/2 for JavaScript: so that it can be compared with codecs/http2 and measured. The engine does not come this way.
#include <napi.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "http2_connection.h"
#include "table_arguments.h"

namespace {

namespace layout = sluice::layout;
using sluice::arguments::bytes_of;
using sluice::arguments::edits_fit;
using sluice::arguments::fits_lines;
using sluice::arguments::ints_of;
using sluice::arguments::is_head_table;
using sluice::arguments::wrong;
using sluice::http2::Connection;
using sluice::http2::Event;
using sluice::http2::Options;
using namespace sluice::http2::rules;

[[nodiscard]] uint32_t u32_of(const Napi::Value& value) { return value.ToNumber().Uint32Value(); }
[[nodiscard]] std::string_view text_of(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// A message to send: `(bytes, table | undefined, editInts, editBytes, how: OutFields)` from argument `first` on.
struct OutArguments {
  Connection::OutHead head;
  std::string scheme;
};
[[nodiscard]] bool read_head(const Napi::CallbackInfo& info, size_t first, OutArguments& out) {
  const auto bytes = bytes_of(info[first]);
  const auto table = info[first + 1].IsUndefined() ? std::span<const int32_t>{} : ints_of(info[first + 1]);
  const auto edits = ints_of(info[first + 2]);
  const auto edit_bytes = bytes_of(info[first + 3]);
  if (!bytes || !table || !edits || !edit_bytes || !info[first + 4].IsObject() || !edits_fit(*edits, *edit_bytes)) return false;
  if (!table->empty() && (!is_head_table(*table) || !fits_lines(*table, *bytes))) return false;
  const auto how = info[first + 4].As<Napi::Object>();
  out.scheme = how.Get("scheme").ToString().Utf8Value();
  out.head = {*table, bytes->data(), *edits, edit_bytes->data(), {how.Get("contentLength").ToNumber().Int64Value(), out.scheme, how.Get("upgrade").ToBoolean()}};
  return true;
}

Napi::Object event_object(Napi::Env env, const Event& event, const Connection& connection) {
  auto object = Napi::Object::New(env);
  object.Set("kind", event.kind);
  object.Set("stream", event.stream);
  switch (event.kind) {
    case kEventHead:
    case kEventTrailers: {
      const auto words = connection.head();
      auto table = Napi::Int32Array::New(env, words.size());
      std::copy(words.begin(), words.end(), table.Data());
      object.Set("table", table);
      object.Set("head", Napi::Buffer<uint8_t>::Copy(env, connection.head_bytes().data(), connection.head_bytes().size()));
      object.Set("ends", event.ends);
      break;
    }
    case kEventData:
      object.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, event.bytes.data(), event.bytes.size()));
      object.Set("ends", event.ends);
      break;
    case kEventPingAck:
      object.Set("low", event.low);
      object.Set("high", event.high);
      break;
    case kEventGoaway:
      object.Set("low", event.low);
      object.Set("error", event.error);
      break;
    case kEventBadHead:
      object.Set("ends", event.ends);
      object.Set("status", event.status);
      [[fallthrough]];
    case kEventReset:
    case kEventFault:
      object.Set("error", event.error);
      object.Set("offset", event.offset);
      if (event.fault != nullptr) object.Set("fault", event.fault->code);
      break;
    default:
      break;
  }
  return object;
}

/// `http2Connection(isServer, options: Int32Array, now)`: the commands of codecs/http2/framing/connection.ts by the same names; heads are given as
/// `(bytes, table | undefined, editInts, editBytes, how)`. `next(bytes, offset, now)` answers `{ consumed, event }`, `output()` takes what waits.
Napi::Value Create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto words = ints_of(info[1]);
  Options options;
  if (!words || words->size() != options.size()) return wrong(env, "http2Connection(isServer: boolean, options: Int32Array, now: number)");
  std::copy(words->begin(), words->end(), options.begin());
  const auto connection = std::make_shared<Connection>(info[0].ToBoolean(), options, info[2].ToNumber().Int64Value());
  auto object = Napi::Object::New(env);
  const auto method = [&](const char* name, auto run) {
    object.Set(name, Napi::Function::New(env, [connection, run](const Napi::CallbackInfo& call) -> Napi::Value { return run(call, *connection); }, name));
  };
  method("next", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    const auto bytes = bytes_of(call[0]);
    size_t at = u32_of(call[1]);
    if (!bytes || at > bytes->size()) return wrong(call.Env(), "next(bytes: Uint8Array, offset: number, now: number)");
    const Event& event = to.next(*bytes, at, call[2].ToNumber().Int64Value());
    auto result = Napi::Object::New(call.Env());
    result.Set("event", event_object(call.Env(), event, to));
    result.Set("consumed", static_cast<double>(at));
    return result;
  });
  method("output", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    const Napi::Value bytes = Napi::Buffer<uint8_t>::Copy(call.Env(), to.output().data(), to.output().size());
    to.output().clear();
    return bytes;
  });
  method("request", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    OutArguments out;
    if (!read_head(call, 0, out)) return wrong(call.Env(), "request(bytes, table, editInts, editBytes, how, ends)");
    return Napi::Number::New(call.Env(), to.request(out.head, call[5].ToBoolean()));
  });
  method("respond", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    OutArguments out;
    if (!read_head(call, 1, out)) return wrong(call.Env(), "respond(stream, bytes, table, editInts, editBytes, how, ends)");
    return Napi::Boolean::New(call.Env(), to.respond(u32_of(call[0]), out.head, call[6].ToBoolean()));
  });
  method("data", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    const auto bytes = bytes_of(call[1]);
    if (!bytes) return wrong(call.Env(), "data(stream: number, bytes: Uint8Array, ends: boolean)");
    return Napi::Number::New(call.Env(), static_cast<double>(to.data(u32_of(call[0]), *bytes, call[2].ToBoolean())));
  });
  method("trailers", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    const auto bytes = bytes_of(call[1]);
    const auto table = ints_of(call[2]);
    if (!bytes || (table && (!is_head_table(*table) || !fits_lines(*table, *bytes)))) return wrong(call.Env(), "trailers(stream, bytes, table?)");
    return Napi::Boolean::New(call.Env(), table ? to.trailers(u32_of(call[0]), *table, bytes->data()) : to.trailers(u32_of(call[0]), text_of(*bytes)));
  });
  method("sendable", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value { return Napi::Number::New(call.Env(), to.sendable(u32_of(call[0]))); });
  method("expire", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    return event_object(call.Env(), to.expire(call[0].ToNumber().Int64Value()), to);
  });
  method("state", [](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
    auto state = Napi::Object::New(call.Env());
    state.Set("open", to.open());
    state.Set("canOpen", to.can_open());
    state.Set("peerAllowsConnect", to.peer_allows_connect());
    state.Set("settingsDeadline", static_cast<double>(to.settings_deadline()));
    return state;
  });
  const auto command = [&](const char* name, auto run) {
    method(name, [run](const Napi::CallbackInfo& call, Connection& to) -> Napi::Value {
      run(call, to);
      return call.Env().Undefined();
    });
  };
  command("reset", [](const Napi::CallbackInfo& call, Connection& to) { to.reset(u32_of(call[0]), u32_of(call[1])); });
  command("release", [](const Napi::CallbackInfo& call, Connection& to) { to.release(u32_of(call[0])); });
  command("consume", [](const Napi::CallbackInfo& call, Connection& to) { to.consume(u32_of(call[0]), u32_of(call[1])); });
  command("ping", [](const Napi::CallbackInfo& call, Connection& to) { to.ping(u32_of(call[0]), u32_of(call[1])); });
  command("drain", [](const Napi::CallbackInfo&, Connection& to) { to.drain(); });
  command("finishDrain", [](const Napi::CallbackInfo&, Connection& to) { to.finish_drain(); });
  command("flushed", [](const Napi::CallbackInfo&, Connection& to) { to.flushed(); });
  command("idle", [](const Napi::CallbackInfo&, Connection& to) { to.idle(); });
  command("abort", [](const Napi::CallbackInfo& call, Connection& to) {
    const auto debug = bytes_of(call[1]);
    to.abort(u32_of(call[0]), debug ? text_of(*debug) : std::string_view{});
  });
  return object;
}

}  // namespace

/// Adds `http2Connection` to the exports.
void RegisterHttp2(Napi::Env env, Napi::Object exports) { exports.Set("http2Connection", Napi::Function::New(env, Create, "http2Connection")); }
