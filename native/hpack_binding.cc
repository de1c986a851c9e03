// HPACK for JavaScript: so that it can be compared with codecs/http2/hpack and measured. The engine does not come this way.
#include <napi.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hpack.h"
#include "table_arguments.h"

namespace {

namespace hpack = sluice::hpack;
using sluice::arguments::bytes_of;
using sluice::arguments::edits_fit;
using sluice::arguments::fits_lines;
using sluice::arguments::ints_of;
using sluice::arguments::is_head_table;
using sluice::arguments::wrong;

constexpr const char* kDecode = "decode(block: Uint8Array, kind: number, limits: ListLimits)";
constexpr const char* kHead = "head(bytes: Uint8Array, table: Int32Array | undefined, editInts: Int32Array, editBytes: Uint8Array, how: OutFields)";

[[nodiscard]] std::optional<hpack::ListLimits> limits_of(const Napi::Value& value) {
  if (!value.IsObject()) return std::nullopt;
  const auto object = value.As<Napi::Object>();
  hpack::ListLimits limits;
  for (const auto& [name, to] : {std::pair{"maxHeadBytes", &limits.max_head_bytes}, {"maxHeaders", &limits.max_headers}, {"maxTargetBytes", &limits.max_target_bytes}}) {
    const Napi::Value number = object.Get(name);
    if (!number.IsNumber()) return std::nullopt;
    *to = number.As<Napi::Number>().Uint32Value();
  }
  const Napi::Value underscores = object.Get("underscores");
  if (!underscores.IsString()) return std::nullopt;
  const std::string word = underscores.As<Napi::String>().Utf8Value();
  using sluice::http1::Underscores;
  limits.underscores = word == "reject" ? Underscores::kReject : word == "drop" ? Underscores::kDrop : Underscores::kAllow;
  limits.extended_connect = object.Get("extendedConnect").ToBoolean();
  return limits;
}

Napi::Object table_info(Napi::Env env, const hpack::DynamicTable& table) {
  auto object = Napi::Object::New(env);
  object.Set("count", table.count());
  object.Set("size", table.size());
  return object;
}

Napi::Value decode(const Napi::CallbackInfo& info, hpack::Decoder& decoder) {
  const Napi::Env env = info.Env();
  const auto block = bytes_of(info[0]);
  const auto limits = limits_of(info[2]);
  const int kind = info[1].IsNumber() ? info[1].As<Napi::Number>().Int32Value() : -1;
  if (!block || !limits || kind < 0 || kind > sluice::http2::rules::kBlockTrailers) return wrong(env, kDecode);
  const bool good = decoder.decode(*block, kind, *limits);
  auto result = Napi::Object::New(env);
  result.Set("broken", !good);
  result.Set("offset", decoder.fault().offset);
  if (decoder.fault().kind != nullptr) result.Set("fault", decoder.fault().kind->code);
  if (!good) return result;
  const auto words = decoder.table();
  auto table = Napi::Int32Array::New(env, words.size());
  std::copy(words.begin(), words.end(), table.Data());
  result.Set("table", table);
  result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, decoder.bytes().data(), decoder.bytes().size()));
  return result;
}

/// `hpackDecoder(tableBytes)`: `{ setMaxTableBytes, decode, table }`.
Napi::Value CreateDecoder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return wrong(env, "hpackDecoder(tableBytes: number)");
  const auto decoder = std::make_shared<hpack::Decoder>(info[0].As<Napi::Number>().Uint32Value());
  auto object = Napi::Object::New(env);
  object.Set("setMaxTableBytes", Napi::Function::New(env, [decoder](const Napi::CallbackInfo& call) -> Napi::Value {
               if (!call[0].IsNumber()) return wrong(call.Env(), "setMaxTableBytes(bytes: number)");
               decoder->set_max_table_bytes(call[0].As<Napi::Number>().Uint32Value());
               return call.Env().Undefined();
             }));
  object.Set("decode", Napi::Function::New(env, [decoder](const Napi::CallbackInfo& call) { return decode(call, *decoder); }));
  object.Set("table", Napi::Function::New(env, [decoder](const Napi::CallbackInfo& call) -> Napi::Value { return table_info(call.Env(), decoder->dynamic_table()); }));
  return object;
}

Napi::Value copy(Napi::Env env, const std::vector<uint8_t>& bytes) { return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size()); }
[[nodiscard]] std::string_view text_of(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Napi::Value head(const Napi::CallbackInfo& info, hpack::Encoder& encoder) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = info[1].IsUndefined() ? std::span<const int32_t>{} : ints_of(info[1]);
  const auto edits = ints_of(info[2]);
  const auto edit_bytes = bytes_of(info[3]);
  if (!bytes || !table || !edits || !edit_bytes || !info[4].IsObject() || !edits_fit(*edits, *edit_bytes) ||
      (!table->empty() && (!is_head_table(*table) || !fits_lines(*table, *bytes)))) {
    return wrong(env, kHead);
  }
  const auto object = info[4].As<Napi::Object>();
  const std::string scheme = object.Get("scheme").ToString().Utf8Value();
  std::vector<uint8_t> out;
  encoder.head(*table, bytes->data(), *edits, edit_bytes->data(), {object.Get("contentLength").ToNumber().Int64Value(), scheme, object.Get("upgrade").ToBoolean()}, out);
  return copy(env, out);
}

/// `hpackEncoder(tableBytes)`: `{ setPeerTableBytes, fields, head, lines, trailers, table }`.
Napi::Value CreateEncoder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return wrong(env, "hpackEncoder(tableBytes: number)");
  const auto encoder = std::make_shared<hpack::Encoder>(info[0].As<Napi::Number>().Uint32Value());
  auto object = Napi::Object::New(env);
  object.Set("setPeerTableBytes", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) -> Napi::Value {
               if (!call[0].IsNumber()) return wrong(call.Env(), "setPeerTableBytes(bytes: number)");
               encoder->set_peer_table_bytes(call[0].As<Napi::Number>().Uint32Value());
               return call.Env().Undefined();
             }));
  object.Set("fields", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) -> Napi::Value {
               constexpr const char* kFields = "fields(fields: Uint8Array[]): names and values";
               if (!call[0].IsArray()) return wrong(call.Env(), kFields);
               const auto array = call[0].As<Napi::Array>();
               std::vector<uint8_t> out;
               encoder->begin(out);
               for (uint32_t i = 0; i + 1 < array.Length(); i += 2) {
                 const auto name = bytes_of(array.Get(i));
                 const auto value = bytes_of(array.Get(i + 1));
                 if (!name || !value) return wrong(call.Env(), kFields);
                 encoder->field(text_of(*name), text_of(*value), hpack::Encoder::Policy::kIndex, out);
               }
               return copy(call.Env(), out);
             }));
  object.Set("head", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) { return head(call, *encoder); }));
  object.Set("lines", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) -> Napi::Value {
               const auto bytes = bytes_of(call[0]);
               if (!bytes) return wrong(call.Env(), "lines(bytes: Uint8Array)");
               std::vector<uint8_t> out;
               encoder->lines(text_of(*bytes), out);
               return copy(call.Env(), out);
             }));
  object.Set("trailers", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) -> Napi::Value {
               const auto bytes = bytes_of(call[0]);
               const auto table = ints_of(call[1]);
               if (!bytes || !table || !is_head_table(*table) || !fits_lines(*table, *bytes)) return wrong(call.Env(), "trailers(bytes: Uint8Array, table: Int32Array)");
               std::vector<uint8_t> out;
               encoder->trailers(*table, bytes->data(), out);
               return copy(call.Env(), out);
             }));
  object.Set("table", Napi::Function::New(env, [encoder](const Napi::CallbackInfo& call) -> Napi::Value { return table_info(call.Env(), encoder->dynamic_table()); }));
  return object;
}

}  // namespace

/// Adds `hpackDecoder` and `hpackEncoder` to the exports.
void RegisterHpack(Napi::Env env, Napi::Object exports) {
  exports.Set("hpackDecoder", Napi::Function::New(env, CreateDecoder, "hpackDecoder"));
  exports.Set("hpackEncoder", Napi::Function::New(env, CreateEncoder, "hpackEncoder"));
}
