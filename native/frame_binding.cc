// Described framing for JavaScript, over whole inputs: so that it can be compared with src/protocol/frame-decoder.ts and measured. The engine does not come
// this way.
#include <napi.h>

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "frame_decoder.h"

namespace {

using sluice::Decoded;
using sluice::FrameDecoder;
using sluice::FrameProgram;

constexpr const char* kCreate = "frameDecoder(words: Int32Array, codes: number, maxFrameBytes: number, cutThroughBytes: number)";
constexpr const char* kDecode = "decode(bytes: Uint8Array, start: number, end: number, ints: Int32Array, base: number)";
constexpr const char* kDecodeAll = "decodeAll(bytes: Uint8Array, start: number, end: number, ints: Int32Array, base: number)";
constexpr const char* kPatchId = "patchId(bytes: Uint8Array, at: number, ints: Int32Array, base: number, low: number, high: number)";

/// A program with a decoder of it.
struct Described {
  Described(FrameProgram loaded, sluice::FrameLimits limits) : program(std::move(loaded)), decoder(program, limits) {}
  Described(const Described&) = delete;
  Described& operator=(const Described&) = delete;
  const FrameProgram program;
  const FrameDecoder decoder;
};

Napi::Value wrong(Napi::Env env, const char* what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
  return env.Undefined();
}

/// A whole number from 0 to `most`; nullopt: it is not one.
[[nodiscard]] std::optional<size_t> index_of(const Napi::Value& value, size_t most) {
  if (!value.IsNumber()) return std::nullopt;
  const int64_t number = value.As<Napi::Number>().Int64Value();
  if (number < 0 || static_cast<uint64_t>(number) > most) return std::nullopt;
  return static_cast<size_t>(number);
}
[[nodiscard]] std::optional<std::span<uint8_t>> bytes_of(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return std::nullopt;
  auto array = value.As<Napi::Uint8Array>();
  return std::span<uint8_t>{array.Data(), array.ElementLength()};
}
[[nodiscard]] std::optional<std::span<int32_t>> ints_of(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) return std::nullopt;
  auto array = value.As<Napi::Int32Array>();
  return std::span<int32_t>{array.Data(), array.ElementLength()};
}
/// The table at `base`.
[[nodiscard]] std::optional<std::span<int32_t>> table_of(const Napi::Value& ints, const Napi::Value& base, size_t words) {
  const auto all = ints_of(ints);
  if (!all || all->size() < words) return std::nullopt;
  const auto from = index_of(base, all->size() - words);
  if (!from) return std::nullopt;
  return all->subspan(*from, words);
}

/// As `FrameDecode` in frame-decoder.ts; a fault is not thrown but answered, as `{ code, offset }`.
Napi::Value Decode(const Napi::CallbackInfo& info, const Described& described) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = table_of(info[3], info[4], described.program.table_words());
  if (!bytes || !table) return wrong(env, kDecode);
  const auto end = index_of(info[2], bytes->size());
  const auto start = end ? index_of(info[1], *end) : std::nullopt;
  if (!start) return wrong(env, kDecode);
  const Decoded decoded = described.decoder.decode(bytes->subspan(*start, *end - *start), *table);
  if (decoded.kind != Decoded::Kind::kFault) {
    if (decoded.kind != Decoded::Kind::kMore) (*table)[sluice::frame::kFrameStart] = static_cast<int32_t>(*start);
    return Napi::Number::New(env, static_cast<double>(decoded.kind));
  }
  auto fault = Napi::Object::New(env);
  fault.Set("code", decoded.code);
  fault.Set("offset", decoded.offset);
  return fault;
}

/// Decodes frames one behind the other, as the engine does, until one is not whole or is broken; the table is that of the last. Answers how many were whole.
Napi::Value DecodeAll(const Napi::CallbackInfo& info, const Described& described) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = table_of(info[3], info[4], described.program.table_words());
  if (!bytes || !table) return wrong(env, kDecodeAll);
  const auto end = index_of(info[2], bytes->size());
  const auto start = end ? index_of(info[1], *end) : std::nullopt;
  if (!start) return wrong(env, kDecodeAll);
  uint32_t frames = 0;
  for (size_t at = *start; at < *end; frames++) {
    if (described.decoder.decode(bytes->subspan(at, *end - at), *table).kind != Decoded::Kind::kWhole) break;
    at += static_cast<size_t>((*table)[sluice::frame::kFrameBytes]);
  }
  return Napi::Number::New(env, frames);
}

/// As `patchId` in frame-decoder.ts.
Napi::Value PatchId(const Napi::CallbackInfo& info, const Described& described) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = table_of(info[2], info[3], described.program.table_words());
  const auto at = bytes ? index_of(info[1], bytes->size()) : std::nullopt;
  if (!at || !table || !info[4].IsNumber() || !info[5].IsNumber()) return wrong(env, kPatchId);
  described.decoder.patch_id(bytes->subspan(*at), *table, info[4].As<Napi::Number>().Uint32Value(), info[5].As<Napi::Number>().Uint32Value());
  return env.Undefined();
}

/// `frameDecoder(words, codes, maxFrameBytes, cutThroughBytes)`: an object with `decode`, `decodeAll` and `patchId`. Throws TypeError for words that are no program.
Napi::Value CreateFrameDecoder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto words = ints_of(info[0]);
  const auto codes = index_of(info[1], INT32_MAX);
  const auto max_frame_bytes = index_of(info[2], INT64_MAX);
  const auto cut_through_bytes = index_of(info[3], INT64_MAX);
  if (!words || !codes || !max_frame_bytes || !cut_through_bytes) return wrong(env, kCreate);
  auto program = FrameProgram::load(*words, *codes);
  if (!program) return wrong(env, "frameDecoder: the words are not a program of this version");
  const sluice::FrameLimits limits{static_cast<int64_t>(*max_frame_bytes), static_cast<int64_t>(*cut_through_bytes)};
  const auto described = std::make_shared<const Described>(*std::move(program), limits);
  auto object = Napi::Object::New(env);
  object.Set("decode", Napi::Function::New(env, [described](const Napi::CallbackInfo& call) { return Decode(call, *described); }, "decode"));
  object.Set("decodeAll", Napi::Function::New(env, [described](const Napi::CallbackInfo& call) { return DecodeAll(call, *described); }, "decodeAll"));
  object.Set("patchId", Napi::Function::New(env, [described](const Napi::CallbackInfo& call) { return PatchId(call, *described); }, "patchId"));
  return object;
}

}  // namespace

/// Adds `frameDecoder` to the exports.
void RegisterFrames(Napi::Env env, Napi::Object exports) { exports.Set("frameDecoder", Napi::Function::New(env, CreateFrameDecoder, "frameDecoder")); }
