// N-API glue of the engine: hangs its epoll set into Node's loop and calls JavaScript once per batch of events. Calls are plain N-API, as they are
// made several times per request; arguments are checked here, and a wrong one throws a TypeError.
#include "engine_binding.h"

#include <uv.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace sluice {
namespace {

/// Everything of one engine in one environment. Lives until the environment goes or `destroy` is called and the uv handles are closed.
class Host final : public Engine::Sink {
 public:
  Host(Napi::Env env, Napi::Uint8Array arena, Napi::Int32Array events, Napi::Float64Array clock, Napi::Function deliver)
      : env_(env),
        arena_(Napi::Persistent(arena)),
        events_(Napi::Persistent(events)),
        clock_(Napi::Persistent(clock)),
        deliver_(Napi::Persistent(deliver)),
        events_at_(events.Data()),
        events_room_(events.ElementLength() / (sizeof(Event) / sizeof(int32_t))),
        clock_at_(clock.Data()),
        engine_(std::make_unique<Engine>(std::span(arena.Data(), arena.ElementLength()), *this)),
        context_(env, "sluice.engine") {}

  /// Joins the loop. False: no loop or no descriptor to watch.
  [[nodiscard]] bool start() {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env_, &loop) != napi_ok || uv_poll_init(loop, &poll_, engine_->poll_fd()) != 0) return false;
    poll_.data = this;
    timer_.data = this;
    open_handles_ = 2;
    if (uv_timer_init(loop, &timer_) != 0) return false;
    if (napi_add_async_cleanup_hook(env_, &Host::on_cleanup, this, &cleanup_) != napi_ok) return false;
    return uv_poll_start(&poll_, UV_READABLE, &Host::on_poll) == 0;
  }

  [[nodiscard]] Engine* engine() const noexcept { return engine_.get(); }
  [[nodiscard]] EditsRef& edits() noexcept { return edits_; }
  void keep_edits(Napi::Int32Array ints, Napi::Uint8Array bytes) {
    edit_ints_ = Napi::Persistent(ints);
    edit_bytes_ = Napi::Persistent(bytes);
    edits_ = {std::span(static_cast<const int32_t*>(ints.Data()), ints.ElementLength()),
              std::span(static_cast<const uint8_t*>(bytes.Data()), bytes.ElementLength())};
  }
  /// Keeps the memory of statistics for as long as the engine may write to it.
  void keep(Napi::Float64Array cells) {
    const auto held = std::find_if(cells_.begin(), cells_.end(), [&](const auto& known) { return known.Value().StrictEquals(cells); });
    if (held == cells_.end()) cells_.push_back(Napi::Persistent(cells));
  }
  double* clock() noexcept { return clock_at_; }

  void deliver(std::span<const Event> events) override {
    clock_at_[0] = engine_->now_ms();
    // The buffer holds kMaxEvents, and the engine delivers no more than that at once.
    const size_t count = std::min(events.size(), events_room_);
    std::memcpy(events_at_, events.data(), count * sizeof(Event));
    Napi::HandleScope scope(env_);
    napi_value argument = nullptr;
    napi_value receiver = nullptr;
    napi_value result = nullptr;
    if (napi_create_uint32(env_, static_cast<uint32_t>(count), &argument) != napi_ok || napi_get_undefined(env_, &receiver) != napi_ok) return;
    const napi_status status = napi_make_callback(env_, context_, context_receiver(receiver), deliver_.Value(), 1, &argument, &result);
    if (status == napi_pending_exception) {
      napi_value error = nullptr;
      // A mistake of the core's: the worker fails loudly (DESIGN §2).
      if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
    }
  }

  void rearm() {
    const double next = engine_->next_timer_ms();
    if (next < 0) return;
    const double due = engine_->now_ms() + next;
    if (uv_is_active(reinterpret_cast<uv_handle_t*>(&timer_)) != 0 && timer_due_ <= due) return;
    timer_due_ = due;
    uv_timer_start(&timer_, &Host::on_timer, static_cast<uint64_t>(std::max(1.0, next)), 0);
  }

  void destroy() {
    if (engine_ == nullptr) return;
    if (in_wake_) {
      destroy_later_ = true;
      return;
    }
    uv_poll_stop(&poll_);
    engine_.reset();
    // The function holds the engine's JavaScript side, and that this host: as long as it is referred to from here, neither could ever go.
    deliver_.Reset();
    arena_.Reset();
    events_.Reset();
    clock_.Reset();
    cells_.clear();
    edit_ints_.Reset();
    edit_bytes_.Reset();
    for (uv_handle_t* handle : {reinterpret_cast<uv_handle_t*>(&poll_), reinterpret_cast<uv_handle_t*>(&timer_)}) uv_close(handle, &Host::on_closed);
  }

  /// JavaScript has let go of the engine object; the host goes when its uv handles have.
  void release() {
    released_ = true;
    destroy();
    if (open_handles_ == 0) delete_self();
  }

 private:
  [[nodiscard]] napi_value context_receiver(napi_value undefined) {
    napi_value global = nullptr;
    return napi_get_global(env_, &global) == napi_ok ? global : undefined;
  }
  void wake() {
    if (engine_ == nullptr) return;
    Napi::HandleScope scope(env_);
    in_wake_ = true;
    engine_->wake();
    in_wake_ = false;
    if (destroy_later_) destroy();
    else rearm();
  }
  static void on_poll(uv_poll_t* poll, int, int) { static_cast<Host*>(poll->data)->wake(); }
  static void on_timer(uv_timer_t* timer) { static_cast<Host*>(timer->data)->wake(); }
  static void on_closed(uv_handle_t* handle) {
    auto* host = static_cast<Host*>(handle->data);
    if (--host->open_handles_ > 0) return;
    if (host->cleanup_ != nullptr) napi_remove_async_cleanup_hook(std::exchange(host->cleanup_, nullptr));
    if (host->released_) host->delete_self();
  }
  static void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
    auto* host = static_cast<Host*>(data);
    if (host->open_handles_ == 0) napi_remove_async_cleanup_hook(std::exchange(host->cleanup_, nullptr));
    else host->destroy();
  }
  void delete_self() { const std::unique_ptr<Host> self(this); }

  Napi::Env env_;
  Napi::Reference<Napi::Uint8Array> arena_;
  Napi::Reference<Napi::Int32Array> events_;
  Napi::Reference<Napi::Float64Array> clock_;
  Napi::FunctionReference deliver_;
  std::vector<Napi::Reference<Napi::Float64Array>> cells_;
  Napi::Reference<Napi::Int32Array> edit_ints_;
  Napi::Reference<Napi::Uint8Array> edit_bytes_;
  EditsRef edits_;
  int32_t* events_at_;
  size_t events_room_;
  double* clock_at_;
  std::unique_ptr<Engine> engine_;
  Napi::AsyncContext context_;
  uv_poll_t poll_{};
  uv_timer_t timer_{};
  double timer_due_ = 0;
  int open_handles_ = 0;
  bool in_wake_ = false;
  bool destroy_later_ = false;
  bool released_ = false;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
};

/// Arguments of one call, checked as they are taken.
template <size_t Count>
class Call {
 public:
  Call(napi_env env, napi_callback_info info) noexcept : env_(env) {
    size_t count = Count;
    void* data = nullptr;
    ok_ = napi_get_cb_info(env, info, &count, arguments_.data(), nullptr, &data) == napi_ok && count >= Count;
    host_ = static_cast<Host*>(data);
    if (!ok_) napi_throw_type_error(env, nullptr, "sluice: too few arguments");
  }
  [[nodiscard]] bool ok() const noexcept { return ok_ && host_->engine() != nullptr; }
  [[nodiscard]] Engine& engine() const noexcept { return *host_->engine(); }
  [[nodiscard]] Host& host() const noexcept { return *host_; }
  [[nodiscard]] int32_t i32(size_t index) noexcept {
    int32_t value = 0;
    if (ok_ && napi_get_value_int32(env_, arguments_[index], &value) != napi_ok) fail("an integer");
    return value;
  }
  [[nodiscard]] double number(size_t index) noexcept {
    double value = 0;
    if (ok_ && napi_get_value_double(env_, arguments_[index], &value) != napi_ok) fail("a number");
    return value;
  }
  [[nodiscard]] std::string text(size_t index) {
    size_t length = 0;
    if (!ok_ || napi_get_value_string_utf8(env_, arguments_[index], nullptr, 0, &length) != napi_ok) {
      fail("a string");
      return {};
    }
    std::string value(length, '\0');
    if (napi_get_value_string_utf8(env_, arguments_[index], value.data(), length + 1, &length) != napi_ok) fail("a string");
    return value;
  }
  /// Empty for undefined.
  [[nodiscard]] std::span<const uint8_t> bytes(size_t index) noexcept {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* data = nullptr;
    napi_valuetype kind = napi_undefined;
    if (!ok_ || napi_typeof(env_, arguments_[index], &kind) != napi_ok || kind == napi_undefined) return {};
    if (napi_get_typedarray_info(env_, arguments_[index], &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
      fail("a Uint8Array");
      return {};
    }
    return {static_cast<const uint8_t*>(data), length};
  }

  /// Empty for anything but an Int32Array.
  [[nodiscard]] std::span<const int32_t> words(size_t index) noexcept {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* data = nullptr;
    if (!ok_ || napi_get_typedarray_info(env_, arguments_[index], &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_int32_array) return {};
    return {static_cast<const int32_t*>(data), length};
  }
  /// A number in a Float64Array (argument `index`) at a place (the next argument), kept alive with the engine; null for undefined.
  [[nodiscard]] double* cell(size_t index) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* data = nullptr;
    napi_valuetype kind = napi_undefined;
    if (!ok_ || napi_typeof(env_, arguments_[index], &kind) != napi_ok || kind == napi_undefined) return nullptr;
    const int32_t place = i32(index + 1);
    if (napi_get_typedarray_info(env_, arguments_[index], &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_float64_array || place < 0 ||
        static_cast<size_t>(place) >= length) {
      fail("a Float64Array and an index into it");
      return nullptr;
    }
    host_->keep(Napi::Value(env_, arguments_[index]).As<Napi::Float64Array>());
    return static_cast<double*>(data) + place;
  }

 private:
  void fail(const char* wanted) noexcept {
    if (ok_) napi_throw_type_error(env_, nullptr, (std::string("sluice: expected ") + wanted).c_str());
    ok_ = false;
  }
  napi_env env_;
  std::array<napi_value, Count == 0 ? 1 : Count> arguments_{};
  Host* host_ = nullptr;
  bool ok_ = false;
};

napi_value from_int(napi_env env, int32_t value) {
  napi_value result = nullptr;
  return napi_create_int32(env, value, &result) == napi_ok ? result : nullptr;
}
napi_value from_bool(napi_env env, bool value) {
  napi_value result = nullptr;
  return napi_get_boolean(env, value, &result) == napi_ok ? result : nullptr;
}
napi_value from_text(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  return napi_create_string_utf8(env, value.data(), value.size(), &result) == napi_ok ? result : nullptr;
}

napi_value Forward(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t from = call.i32(0);
  const int32_t to = call.i32(1);
  if (!call.ok()) return from_int(env, kForwardStale);
  const int result = call.engine().forward(from, to, call.host().edits());
  call.host().clock()[4] = static_cast<double>(call.engine().moved_bytes());
  return from_int(env, result);
}
napi_value Reply(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t handle = call.i32(0);
  const auto body = call.bytes(1);
  return from_bool(env, call.ok() && call.engine().reply(handle, call.host().edits(), body));
}
napi_value Request(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t handle = call.i32(0);
  const auto body = call.bytes(1);
  return from_bool(env, call.ok() && call.engine().request(handle, call.host().edits(), body));
}
napi_value Show(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  return from_bool(env, call.ok() && call.engine().show(handle));
}
napi_value Head(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  return from_int(env, call.ok() ? call.engine().head(handle) : -1);
}
/// One handle, no answer.
template <void (Engine::*Command)(Handle)>
napi_value Plain(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  if (call.ok()) (call.engine().*Command)(handle);
  return nullptr;
}
napi_value CanReplay(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  return from_bool(env, call.ok() && call.engine().can_replay(handle));
}
napi_value Relay(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t a = call.i32(0);
  const int32_t b = call.i32(1);
  if (call.ok()) call.engine().relay(a, b);
  return nullptr;
}
napi_value OpenStream(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  return from_int(env, call.ok() ? call.engine().open_stream(handle) : kNoHandle);
}
/// (from, bytes): did it do something?
template <bool (Engine::*Command)(Handle, std::span<const uint8_t>)>
napi_value WithBytes(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t handle = call.i32(0);
  const auto bytes = call.bytes(1);
  return from_bool(env, call.ok() && (call.engine().*Command)(handle, bytes));
}
/// sendFrame(from, to, tableWord, idLow, idHigh): bits of kSend*.
napi_value SendFrame(napi_env env, napi_callback_info info) {
  Call<5> call(env, info);
  const int32_t from = call.i32(0);
  const int32_t to = call.i32(1);
  const int32_t table = call.i32(2);
  const int32_t low = call.i32(3);
  const int32_t high = call.i32(4);
  return from_int(env, call.ok() ? call.engine().send_frame(from, to, table, static_cast<uint32_t>(low), static_cast<uint32_t>(high)) : kSendStale);
}
napi_value WantWhole(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  if (call.ok()) call.engine().want_whole(handle);
  return nullptr;
}
napi_value Adopt(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  const int32_t handle = call.i32(0);
  const int32_t profile = call.i32(1);
  const int32_t skip = call.i32(2);
  if (call.ok()) call.engine().adopt(handle, profile, static_cast<size_t>(std::max(0, skip)));
  return nullptr;
}
napi_value SetIdle(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t handle = call.i32(0);
  const double ms = call.number(1);
  if (call.ok()) call.engine().set_idle_timeout(handle, ms);
  return nullptr;
}
napi_value Close(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  const int32_t handle = call.i32(0);
  const int32_t how = call.i32(1);
  return from_bool(env, call.ok() && how >= 0 && how <= 3 && call.engine().close(handle, static_cast<CloseHow>(how)));
}
/// "local ip\nport\nremote ip\nport\noriginal ip\nport" or undefined.
napi_value Info(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  if (!call.ok()) return nullptr;
  const auto found = call.engine().info(handle);
  return found ? from_text(env, found->local + "\n" + found->remote + "\n" + found->original_dst) : nullptr;
}
napi_value ListenerAddress(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  if (!call.ok()) return nullptr;
  const auto text = call.engine().listener_address(handle);
  return text ? from_text(env, *text) : nullptr;
}
/// Fills clock[1..3]: received, sent, queued.
napi_value TrafficOf(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t handle = call.i32(0);
  if (!call.ok()) return from_bool(env, false);
  const auto traffic = call.engine().traffic(handle);
  if (!traffic) return from_bool(env, false);
  call.host().clock()[1] = static_cast<double>(traffic->received);
  call.host().clock()[2] = static_cast<double>(traffic->sent);
  call.host().clock()[3] = static_cast<double>(traffic->queued);
  return from_bool(env, true);
}
napi_value Connections(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  return from_int(env, call.ok() ? static_cast<int32_t>(call.engine().connections()) : 0);
}
napi_value Clock(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  if (call.ok()) {
    call.engine().refresh_clock();
    call.host().clock()[0] = call.engine().now_ms();
  }
  return nullptr;
}
napi_value FaultName(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int32_t number = call.i32(0);
  return call.ok() ? from_text(env, call.engine().fault_name(number)) : nullptr;
}
napi_value BindEdits(napi_env env, napi_callback_info info) {
  Napi::CallbackInfo call(env, info);
  if (call.Length() < 2 || !call[0].IsTypedArray() || !call[1].IsTypedArray()) {
    napi_throw_type_error(env, nullptr, "sluice: bindEdits(Int32Array, Uint8Array)");
    return nullptr;
  }
  static_cast<Host*>(call.Data())->keep_edits(call[0].As<Napi::Int32Array>(), call[1].As<Napi::Uint8Array>());
  return nullptr;
}
/// profile(framing, side, maxHead, maxHeaders, maxTarget, http10, underscores, highWater, maxRetain, idleMs, headMs, lingerMs, lingerBytes,
/// receivedCells, receivedIndex, sentCells, sentIndex, program, codes, maxFrameBytes, cutThroughBytes, streamOptions, prefaceProfile): cells are Float64Arrays or
/// undefined; program is the byte-code of described framing, or undefined; streamOptions are the words of HTTP/2, or undefined.
napi_value AddProfile(napi_env env, napi_callback_info info) {
  Call<23> call(env, info);
  Profile profile;
  profile.framing = static_cast<FramingKind>(call.i32(0));
  profile.side = static_cast<Side>(call.i32(1));
  profile.limits.max_head_bytes = static_cast<uint32_t>(call.number(2));
  profile.limits.max_headers = static_cast<uint32_t>(call.number(3));
  profile.limits.max_target_bytes = static_cast<uint32_t>(call.number(4));
  profile.limits.accept_http10 = call.i32(5) != 0;
  profile.limits.underscores = static_cast<http1::Underscores>(call.i32(6));
  profile.high_water = static_cast<size_t>(call.number(7));
  profile.max_retain = static_cast<size_t>(call.number(8));
  profile.idle_ms = call.number(9);
  profile.head_ms = call.number(10);
  profile.linger_ms = call.number(11);
  profile.linger_bytes = static_cast<uint64_t>(call.number(12));
  profile.wire_received = call.cell(13);
  profile.wire_sent = call.cell(15);
  profile.max_frame = static_cast<size_t>(call.number(19));
  if (profile.framing == FramingKind::kFrames) {
    const auto words = call.words(17);
    auto program = FrameProgram::load(words, static_cast<size_t>(std::max(0, call.i32(18))));
    if (!program) {
      napi_throw_type_error(env, nullptr, "sluice: not a frame program");
      return nullptr;
    }
    profile.frames = std::make_shared<const FrameFraming>(std::move(*program), FrameLimits{static_cast<int64_t>(call.number(19)), static_cast<int64_t>(call.number(20))});
  }
  if (profile.framing == FramingKind::kHttp2) {
    const auto words = call.words(21);
    if (words.size() != profile.streams.size()) {
      napi_throw_type_error(env, nullptr, "sluice: not the options of HTTP/2");
      return nullptr;
    }
    std::copy(words.begin(), words.end(), profile.streams.begin());
  }
  profile.preface = call.i32(22);
  return from_int(env, call.ok() ? call.engine().add_profile(profile) : -1);
}
/// Reads noDelay, keepAlive, idleS, intervalS, probes, mark, transparent, freebind from argument `first` on.
template <size_t Count>
SocketOptions socket_options(Call<Count>& call, size_t first) {
  SocketOptions options;
  options.no_delay = call.i32(first) != 0;
  options.keep_alive = call.i32(first + 1) != 0;
  options.keep_idle_s = call.i32(first + 2);
  options.keep_interval_s = call.i32(first + 3);
  options.keep_probes = call.i32(first + 4);
  options.mark = static_cast<int64_t>(call.number(first + 5));
  options.transparent = call.i32(first + 6) != 0;
  options.freebind = call.i32(first + 7) != 0;
  return options;
}
/// listen(ip, port, path, profile, originalDst, maxAccepts, backlog, reusePort, dualStack, mode, ...socketOptions): a handle, or "call errno".
napi_value Listen(napi_env env, napi_callback_info info) {
  Call<18> call(env, info);
  const auto address = SocketAddress::parse(call.text(0), static_cast<uint16_t>(call.i32(1)), call.text(2));
  const int profile = call.i32(3);
  const bool original_dst = call.i32(4) != 0;
  const int max_accepts = call.i32(5);
  SocketOptions options = socket_options(call, 10);
  options.backlog = call.i32(6);
  options.reuse_port = call.i32(7) != 0;
  options.dual_stack = call.i32(8) != 0;
  options.mode = call.i32(9);
  if (!call.ok()) return nullptr;
  SocketFault fault{"address", EINVAL};
  Handle handle = kNoHandle;
  if (address) {
    fault = {};
    handle = call.engine().listen(*address, options, profile, original_dst, max_accepts, fault);
  }
  return handle != kNoHandle ? from_int(env, handle) : from_text(env, std::string(fault.call) + " " + std::to_string(fault.error));
}
/// connect(ip, port, path, profile, timeoutMs, sourceIp, sourcePort, ...socketOptions): a handle, 0 where an address is none.
napi_value Connect(napi_env env, napi_callback_info info) {
  Call<15> call(env, info);
  const auto address = SocketAddress::parse(call.text(0), static_cast<uint16_t>(call.i32(1)), call.text(2));
  const int profile = call.i32(3);
  const double timeout_ms = call.number(4);
  const std::string source_ip = call.text(5);
  const auto source = source_ip.empty() ? std::nullopt : SocketAddress::parse(source_ip, static_cast<uint16_t>(call.i32(6)), "");
  const SocketOptions options = socket_options(call, 7);
  if (!call.ok()) return nullptr;
  if (!address || (!source_ip.empty() && !source)) return from_int(env, kNoHandle);
  return from_int(env, call.engine().connect(*address, source ? &*source : nullptr, options, profile, timeout_ms));
}
napi_value Destroy(napi_env env, napi_callback_info info) {
  Napi::CallbackInfo call(env, info);
  static_cast<Host*>(call.Data())->destroy();
  return nullptr;
}

struct Method {
  const char* name;
  napi_callback call;
};
constexpr std::array kMethods{
    Method{"forward", Forward},
    Method{"reply", Reply},
    Method{"head", Head},
    Method{"releaseBody", Plain<&Engine::release_body>},
    Method{"canReplay", CanReplay},
    Method{"relay", Relay},
    Method{"openStream", OpenStream},
    Method{"request", Request},
    Method{"show", Show},
    Method{"ping", Plain<&Engine::ping>},
    Method{"sendBody", WithBytes<&Engine::send_body>},
    Method{"endBody", WithBytes<&Engine::end_body>},
    Method{"write", WithBytes<&Engine::write>},
    Method{"sendFrame", SendFrame},
    Method{"wantWhole", WantWhole},
    Method{"adopt", Adopt},
    Method{"pause", Plain<&Engine::pause>},
    Method{"resume", Plain<&Engine::resume>},
    Method{"setIdleTimeout", SetIdle},
    Method{"drain", Plain<&Engine::drain>},
    Method{"close", Close},
    Method{"info", Info},
    Method{"listenerAddress", ListenerAddress},
    Method{"traffic", TrafficOf},
    Method{"connections", Connections},
    Method{"clock", Clock},
    Method{"faultName", FaultName},
    Method{"bindEdits", BindEdits},
    Method{"profile", AddProfile},
    Method{"listen", Listen},
    Method{"connect", Connect},
    Method{"unlisten", Plain<&Engine::unlisten>},
    Method{"destroy", Destroy},
};

Napi::Value CreateEngine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 4 || !info[0].IsTypedArray() || !info[1].IsTypedArray() || !info[2].IsTypedArray() || !info[3].IsFunction()) {
    Napi::TypeError::New(env, "sluice: createEngine(arena: Uint8Array, events: Int32Array, clock: Float64Array, deliver)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto arena = info[0].As<Napi::Uint8Array>();
  const auto events = info[1].As<Napi::Int32Array>();
  const auto clock = info[2].As<Napi::Float64Array>();
  if (arena.ElementLength() < 65536 || events.ElementLength() < Engine::kMaxEvents * 6 || clock.ElementLength() < 5) {
    Napi::RangeError::New(env, "sluice: createEngine: a buffer is too small").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto host = std::make_unique<Host>(env, arena, events, clock, info[3].As<Napi::Function>());
  if (!host->start()) {
    Napi::Error::New(env, "sluice: cannot join the event loop").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Host* owned = host.release();  // its uv handles and the JavaScript object own it together from here on
  Napi::Object result = Napi::Object::New(env);
  for (const Method& method : kMethods) {
    napi_value function = nullptr;
    if (napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.call, owned, &function) != napi_ok) return env.Undefined();
    result.Set(method.name, Napi::Value(env, function));
  }
  if (napi_add_finalizer(env, result, owned, [](napi_env, void* data, void*) { static_cast<Host*>(data)->release(); }, nullptr, nullptr) != napi_ok) return env.Undefined();
  return result;
}

}  // namespace

void RegisterEngine(Napi::Env env, Napi::Object exports) {
  exports.Set("createEngine", Napi::Function::New(env, CreateEngine, "createEngine"));
}

}  // namespace sluice
