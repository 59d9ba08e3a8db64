// Times a network as a chain of oneDNN's primitives, as a program that uses this library would run it: 8-bit activations (unsigned
// where a step cannot answer below 0) and weights, a scale a channel, memory formats of the library's choice, weights reordered
// before, activations and residual adds as post-ops. Numbers are random: it is a speed reference for the same shapes.
//
// usage: onednn_chain FILE, where lines of FILE are `input NAME N C H W` and `OP OUT NUMBER... IN...` (see onednn_chain.py);
// answers a line `ready`, then each line `N` on its standard input by a JSON list of N times in ms.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>

using namespace dnnl;
using dims = memory::dims;
using tag = memory::format_tag;
using type = memory::data_type;

static engine cpu(engine::kind::cpu, 0);
static stream queue(cpu);
static std::mt19937 generator(1);

struct Step {
    primitive work;
    std::unordered_map<int, memory> args;
};
static std::vector<Step> steps;
static std::map<std::string, memory> tensors;
static std::map<std::string, int> last_use; // the line that reads a tensor last

template <class Primitive, class... Args>
static typename Primitive::primitive_desc describe(const primitive_attr &attr, Args... args) {
#if DNNL_VERSION_MAJOR < 3
    return {typename Primitive::desc(args...), attr, cpu};
#else
    return {cpu, args..., attr};
#endif
}

static void fill(const memory &m) {
    auto *bytes = static_cast<unsigned char *>(m.get_data_handle());
    for (size_t i = 0; i < m.get_desc().get_size(); i++)
        bytes[i] = generator() & 127;
}

static memory new_tensor(const std::string &name, const memory::desc &md) {
    memory m(md, cpu);
    fill(m);
    return tensors[name] = m;
}

static memory in_format(memory m, const memory::desc &md) {
    if (m.get_desc() == md)
        return m;
    memory to(md, cpu);
    reorder(m, to).execute(queue, m, to);
    queue.wait();
    return to;
}

// An activation in the format that a primitive asks for, reordered in every run where it differs.
static memory activation(const std::string &name, const memory::desc &md) {
    memory from = tensors.at(name);
    if (from.get_desc() == md)
        return from;
    memory to(md, cpu);
    steps.push_back({reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
    return to;
}

static dims shape(const memory &m) {
#if DNNL_VERSION_MAJOR < 3
    return m.get_desc().dims();
#else
    return m.get_desc().get_dims();
#endif
}
static dims shape(const std::string &name) {
    return shape(tensors.at(name));
}
static type type_of(const std::string &name) {
#if DNNL_VERSION_MAJOR < 3
    return tensors.at(name).get_desc().data_type();
#else
    return tensors.at(name).get_desc().get_data_type();
#endif
}

static std::vector<memory> keep; // owners of bytes that several tensors share

// The same bytes read as another type: for the time it takes, what they mean is all one.
static memory as_type(const memory &m, type t) {
    memory::desc md(shape(m), t, tag::nhwc);
    if (md.get_size() != m.get_desc().get_size())
        throw std::runtime_error("a tensor of another layout than channels last");
    keep.push_back(m);
    return memory(md, cpu, m.get_data_handle());
}

struct Line {
    int number;
    std::string op, out;
    std::istringstream rest;

    long next() {
        long value;
        rest >> value;
        return value;
    }
    std::string word() {
        std::string text;
        rest >> text;
        return text;
    }
};

// Words of a step: relu, clip (to 6 as an integer), swish, sigmoid; anything else is none.
static bool append_activation(post_ops &ops, const std::string &act) {
    auto append = [&](algorithm kind, float alpha, float beta) {
#if DNNL_VERSION_MAJOR < 3
        ops.append_eltwise(1.0f, kind, alpha, beta);
#else
        ops.append_eltwise(kind, alpha, beta);
#endif
    };
    if (act == "relu")
        append(algorithm::eltwise_relu, 0, 0);
    else if (act == "clip")
        append(algorithm::eltwise_clip, 0, 120);
    else if (act == "swish")
        append(algorithm::eltwise_swish, 1, 0);
    else if (act == "sigmoid")
        append(algorithm::eltwise_logistic, 0, 0);
    return act == "relu" || act == "clip" || act == "sigmoid";
}

struct Scales {
    primitive_attr attr;
    memory weights; // version 3: a scale a channel, given at run time

    // A multiplier that brings sums of fan_in products of random bytes into 8 bits.
    Scales(long channels, long fan_in, bool grouped, const post_ops &ops) {
        std::vector<float> values(channels, 64.0f / (64.0f * 37.0f * std::sqrt(float(fan_in))));
#if DNNL_VERSION_MAJOR < 3
        (void)grouped;
        attr.set_output_scales(1 << 1, values);
#else
        attr.set_scales_mask(DNNL_ARG_WEIGHTS, grouped ? 3 : 1);
        weights = memory({{channels}, type::f32, tag::x}, cpu);
        std::copy(values.begin(), values.end(), static_cast<float *>(weights.get_data_handle()));
#endif
        attr.set_post_ops(ops);
    }
    void into(Step &step) {
#if DNNL_VERSION_MAJOR >= 3
        step.args[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] = weights;
#endif
    }
};

// The residual: summed in place where nothing reads it afterwards, else a binary post-op.
struct Residual {
    std::string name;
    bool in_place = false;

    Residual(const Line &line, const std::string &tensor, post_ops &ops, const dims &out) : name(tensor) {
        if (name == "-")
            return;
        in_place = last_use[name] == line.number && shape(name) == out;
        if (in_place)
            ops.append_sum(0.5f, 0, type_of(name));
        else
            ops.append_binary(algorithm::binary_add, tensors.at(name).get_desc());
    }
    memory::desc result(const dims &out, type t) const {
        if (!in_place)
            return {out, t, tag::any};
        return {out, t, tag::nhwc};
    }
    void into(Step &step, const std::string &out, const memory::desc &md, type t) const {
        if (in_place)
            tensors[out] = as_type(tensors.at(name), t);
        else
            new_tensor(out, md);
        if (name != "-" && !in_place)
            step.args[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = tensors.at(name);
    }
};

static memory random_weights(const dims &d, tag plain, const memory::desc &wanted) {
    memory m({d, type::s8, plain}, cpu);
    fill(m);
    return in_format(m, wanted);
}

static memory random_bias(long channels) {
    memory m({{channels}, type::f32, tag::x}, cpu);
    for (long i = 0; i < channels; i++)
        static_cast<float *>(m.get_data_handle())[i] = float(generator() % 64);
    return m;
}

// conv OUT channels out_h out_w kh kw stride_h stride_w top left bottom right dilation_h dilation_w groups act residual IN
static void conv(Line &line) {
    long oc = line.next();
    dims size = {line.next(), line.next()}, kernel = {line.next(), line.next()}, stride = {line.next(), line.next()};
    dims begin = {line.next(), line.next()}, end = {line.next(), line.next()};
    dims dilation = {line.next() - 1, line.next() - 1};
    long groups = line.next();
    std::string act = line.word(), added = line.word(), in = line.word();
    dims src = shape(in), dst = {src[0], oc, size[0], size[1]};
    long ic = src[1] / groups;
    dims w = groups > 1 ? dims{groups, oc / groups, ic, kernel[0], kernel[1]} : dims{oc, ic, kernel[0], kernel[1]};
    post_ops ops;
    Residual residual(line, added, ops, dst);
    type t = append_activation(ops, act) ? type::u8 : type::s8;
    Scales scales(oc, ic * kernel[0] * kernel[1], groups > 1, ops);
    auto pd = describe<convolution_forward>(
        scales.attr, prop_kind::forward_inference, algorithm::convolution_direct, memory::desc(src, type_of(in), tag::any),
        memory::desc(w, type::s8, tag::any), memory::desc({oc}, type::f32, tag::x), residual.result(dst, t), stride, dilation, begin, end);
    Step step{convolution_forward(pd), {}};
    step.args = {{DNNL_ARG_SRC, activation(in, pd.src_desc())}, {DNNL_ARG_BIAS, random_bias(oc)},
                 {DNNL_ARG_WEIGHTS, random_weights(w, groups > 1 ? tag::goihw : tag::oihw, pd.weights_desc())}};
    scales.into(step);
    residual.into(step, line.out, pd.dst_desc(), t);
    step.args[DNNL_ARG_DST] = tensors.at(line.out);
    steps.push_back(step);
    if (getenv("ONEDNN_CHAIN_VERBOSE"))
        fprintf(stderr, "%s %s\n", line.out.c_str(), pd.impl_info_str());
}

// linear OUT features act IN
static void linear(Line &line) {
    long features = line.next();
    std::string act = line.word(), in = line.word();
    dims src = shape(in), w = src, dst = {src[0], features};
    w[0] = features;
    post_ops ops;
    type t = append_activation(ops, act) ? type::u8 : type::s8;
    long fan_in = 1;
    for (size_t i = 1; i < src.size(); i++)
        fan_in *= src[i];
    Scales scales(features, fan_in, false, ops);
    auto pd = describe<inner_product_forward>(scales.attr, prop_kind::forward_inference, memory::desc(src, type_of(in), tag::any),
                                              memory::desc(w, type::s8, tag::any), memory::desc({features}, type::f32, tag::x),
                                              memory::desc(dst, t, tag::any));
    Step step{inner_product_forward(pd), {}};
    step.args = {{DNNL_ARG_SRC, activation(in, pd.src_desc())}, {DNNL_ARG_BIAS, random_bias(features)},
                 {DNNL_ARG_WEIGHTS, random_weights(w, src.size() > 2 ? tag::oihw : tag::oi, pd.weights_desc())},
                 {DNNL_ARG_DST, new_tensor(line.out, pd.dst_desc())}};
    scales.into(step);
    steps.push_back(step);
}

// pool OUT max|mean out_h out_w kh kw stride_h stride_w top left bottom right IN
static void pool(Line &line) {
    std::string kind = line.word();
    dims size = {line.next(), line.next()}, kernel = {line.next(), line.next()}, stride = {line.next(), line.next()};
    dims begin = {line.next(), line.next()}, end = {line.next(), line.next()};
    std::string in = line.word();
    memory src = tensors.at(in);
    memory::desc dst({shape(in)[0], shape(in)[1], size[0], size[1]}, type_of(in), tag::any);
    auto algo = kind == "max" ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding;
#if DNNL_VERSION_MAJOR < 3
    auto pd = describe<pooling_forward>({}, prop_kind::forward_inference, algo, src.get_desc(), dst, stride, kernel, begin, end);
#else
    auto pd = describe<pooling_forward>({}, prop_kind::forward_inference, algo, src.get_desc(), dst, stride, kernel, dims{0, 0}, begin, end);
#endif
    steps.push_back({pooling_forward(pd), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, new_tensor(line.out, pd.dst_desc())}}});
}

// concat OUT IN IN...
static void join(Line &line) {
    std::vector<std::string> ins;
    for (std::string in = line.word(); !in.empty(); in = line.word())
        ins.push_back(in);
    bool is_signed = std::any_of(ins.begin(), ins.end(), [](const std::string &in) { return type_of(in) == type::s8; });
    std::vector<memory::desc> descs;
    Step step;
    for (const std::string &in : ins) {
        memory m = as_type(tensors.at(in), is_signed ? type::s8 : type::u8);
        step.args[DNNL_ARG_MULTIPLE_SRC + int(descs.size())] = m;
        descs.push_back(m.get_desc());
    }
#if DNNL_VERSION_MAJOR < 3
    concat::primitive_desc pd(1, descs, cpu);
#else
    concat::primitive_desc pd(cpu, 1, descs);
#endif
    step.work = concat(pd);
    step.args[DNNL_ARG_DST] = new_tensor(line.out, pd.dst_desc());
    steps.push_back(step);
}

// add OUT act IN IN
static void add(Line &line) {
    std::string act = line.word(), a = line.word(), b = line.word();
    post_ops ops;
    type t = append_activation(ops, act) ? type::u8 : type::s8;
    primitive_attr attr;
    attr.set_post_ops(ops);
    memory first = tensors.at(a), second = tensors.at(b);
    auto pd = describe<binary>(attr, algorithm::binary_add, first.get_desc(), second.get_desc(), memory::desc(shape(a), t, tag::any));
    memory dst = new_tensor(line.out, pd.dst_desc());
    steps.push_back({binary(pd), {{DNNL_ARG_SRC_0, first}, {DNNL_ARG_SRC_1, second}, {DNNL_ARG_DST, dst}}});
}

// act OUT act IN: one that no step before could take as a post-op
static void activate(Line &line) {
    std::string act = line.word(), in = line.word();
    memory src = tensors.at(in);
    memory::desc md = src.get_desc();
    algorithm kind = act == "sigmoid" ? algorithm::eltwise_logistic : act == "swish" ? algorithm::eltwise_swish : algorithm::eltwise_relu;
    float alpha = act == "swish" ? 1 : 0;
#if DNNL_VERSION_MAJOR < 3
    auto pd = describe<eltwise_forward>({}, prop_kind::forward_inference, kind, md, alpha, 0.0f);
#else
    auto pd = describe<eltwise_forward>({}, prop_kind::forward_inference, kind, md, md, alpha, 0.0f);
#endif
    steps.push_back({eltwise_forward(pd), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, new_tensor(line.out, md)}}});
}

// norm OUT act IN: a scale and a shift a channel, with its relu
static void norm(Line &line) {
    std::string act = line.word(), in = line.word();
    memory src = as_type(tensors.at(in), type::s8); // the only 8-bit type that it knows
    memory::desc md = src.get_desc();
    auto flags = normalization_flags::use_global_stats | normalization_flags::use_scale | normalization_flags::use_shift;
    if (act == "relu")
        flags = flags | normalization_flags::fuse_norm_relu;
#if DNNL_VERSION_MAJOR < 3
    auto pd = describe<batch_normalization_forward>({}, prop_kind::forward_inference, md, 1e-5f, flags);
#else
    auto pd = describe<batch_normalization_forward>({}, prop_kind::forward_inference, md, md, 1e-5f, flags);
#endif
    memory dst = new_tensor(line.out, md);
    Step step{batch_normalization_forward(pd), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, dst}}};
    for (int arg : {DNNL_ARG_MEAN, DNNL_ARG_VARIANCE, DNNL_ARG_SCALE, DNNL_ARG_SHIFT})
        step.args[arg] = random_bias(shape(in)[1]);
    steps.push_back(step);
    if (act == "relu")
        tensors[line.out] = as_type(dst, type::u8);
}

// shuffle OUT groups IN
static void exchange(Line &line) {
    long groups = line.next();
    std::string in = line.word();
    memory src = tensors.at(in);
    memory::desc md = src.get_desc();
#if DNNL_VERSION_MAJOR < 3
    shuffle_forward::primitive_desc pd({prop_kind::forward_inference, md, 1, int(groups)}, cpu);
#else
    auto pd = describe<shuffle_forward>({}, prop_kind::forward_inference, md, md, 1, int(groups));
#endif
    steps.push_back({shuffle_forward(pd), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, new_tensor(line.out, md)}}});
}

// resize OUT nearest|linear out_h out_w IN
static void resize(Line &line) {
    std::string kind = line.word();
    dims size = {line.next(), line.next()};
    std::string in = line.word();
    memory src = tensors.at(in);
    memory::desc dst({shape(in)[0], shape(in)[1], size[0], size[1]}, type_of(in), tag::nhwc);
    auto pd = describe<resampling_forward>({}, prop_kind::forward_inference,
                                           kind == "nearest" ? algorithm::resampling_nearest : algorithm::resampling_linear, src.get_desc(), dst);
    steps.push_back({resampling_forward(pd), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, new_tensor(line.out, dst)}}});
}

static void build(Line &line) {
    static const std::map<std::string, void (*)(Line &)> ops = {{"conv", conv}, {"linear", linear}, {"pool", pool}, {"concat", join}, {"add", add},
                                                                {"act", activate}, {"norm", norm}, {"shuffle", exchange}, {"resize", resize}};
    if (line.op != "input") {
        ops.at(line.op)(line);
        return;
    }
    dims d;
    for (long n = line.next(); line.rest; n = line.next())
        d.push_back(n);
    new_tensor(line.out, {d, type::s8, d.size() == 4 ? tag::nhwc : tag::nc});
}

static void read(const char *path) {
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string text; std::getline(file, text);)
        lines.push_back(text);
    for (size_t i = 0; i < lines.size(); i++) {
        std::istringstream words(lines[i]);
        for (std::string word; words >> word;)
            last_use[word] = int(i);
    }
    for (size_t i = 0; i < lines.size(); i++) {
        Line line{int(i), {}, {}, std::istringstream(lines[i])};
        line.op = line.word(), line.out = line.word();
        try {
            build(line);
        } catch (const std::exception &e) {
            fprintf(stderr, "onednn_chain: %s: %s\n", lines[i].c_str(), e.what());
            exit(1);
        }
    }
}

static double run() {
    auto start = std::chrono::steady_clock::now();
    for (auto &step : steps)
        step.work.execute(queue, step.args);
    queue.wait();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int main(int argc, char **argv) {
    if (argc != 2)
        return fprintf(stderr, "usage: onednn_chain FILE\n"), 2;
    read(argv[1]);
    for (int i = 0; i < 3; i++)
        run();
    auto version = dnnl_version();
    printf("ready %d.%d.%d\n", version->major, version->minor, version->patch);
    fflush(stdout);
    for (int count; std::cin >> count;) {
        for (int i = 0; i < count; i++)
            printf("%s%.6f", i ? ", " : "[", run());
        printf("]\n");
        fflush(stdout);
    }
}
