// Elementary functions of 16 floats for AVX-512, within 2 units in the last place; NaN stays NaN. exp as float_math.h has it;
// tanh and erf are x times a polynomial of the interval that |x| lies in, interpolated at Chebyshev nodes of f(x) / x.
#ifndef QN_MATH_AVX512_H
#define QN_MATH_AVX512_H
#include <immintrin.h>

#include "runtime/kernel.h"

// e^x = (1 + y) 2^n.
QN_INLINE __m512 math_avx512_exp_parts(__m512 x, __m512 *n) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    *n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504f), magic), magic);
    __m512 r = _mm512_fnmadd_ps(*n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(*n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.9875691500e-4f), r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    return _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
}
// A maximum or minimum gives NaN where that stands second.
QN_INLINE __m512 math_avx512_exp(__m512 x) {
    __m512 n;
    const __m512 y = math_avx512_exp_parts(_mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x)), &n);
    return _mm512_scalef_ps(_mm512_add_ps(_mm512_set1_ps(1.0f), y), n);
}

QN_INLINE __m512 math_avx512_size(__m512 x) { return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF))); }

// x, or x e^-|of| where of < 0, over 1 + e^-|of|: no exponential overflows, and what is small is rounded once. 0 from of = -160 on.
QN_INLINE __m512 math_avx512_logistic(__m512 of, __m512 x) {
    __m512 n;
    const __m512 y = math_avx512_exp_parts(_mm512_max_ps(_mm512_set1_ps(-160.0f), _mm512_sub_ps(_mm512_setzero_ps(), math_avx512_size(of))), &n);
    const __mmask16 negative = _mm512_cmp_ps_mask(of, _mm512_setzero_ps(), _CMP_LT_OQ);
    const __m512 one = _mm512_set1_ps(1.0f), e = _mm512_add_ps(one, y);
    const __m512 below = _mm512_add_ps(one, _mm512_scalef_ps(e, n)), guess = _mm512_rcp14_ps(below);
    const __m512 above = _mm512_mask_fmadd_ps(x, negative, y, x), quotient = _mm512_mul_ps(above, guess);
    const __m512 lost = _mm512_maskz_fmadd_ps(negative, x, y, _mm512_sub_ps(x, above)); // of `above`, which 1 + y is near
    const __m512 rest = _mm512_add_ps(_mm512_fnmadd_ps(quotient, below, above), lost);
    return _mm512_scalef_ps(_mm512_fmadd_ps(rest, guess, quotient), _mm512_maskz_mov_ps(negative, n));
}
// Where all numbers are from -16 to 80, x / (1 + e^-of) is less work: 2^n is a normal number, and 1 + 2^n is exact or 1.
QN_INLINE int math_avx512_is_near(__m512 x) {
    const __m512 off = math_avx512_size(_mm512_sub_ps(x, _mm512_set1_ps(32.0f)));
    return _mm512_cmp_ps_mask(off, _mm512_set1_ps(48.0f), _CMP_NLE_UQ) == 0;
}
QN_INLINE __m512 math_avx512_near_logistic(__m512 of, __m512 x) {
    __m512 n;
    const __m512 y = math_avx512_exp_parts(_mm512_sub_ps(_mm512_setzero_ps(), of), &n), one = _mm512_set1_ps(1.0f);
    const __m512 power = _mm512_scalef_ps(one, n), below = _mm512_fmadd_ps(power, y, _mm512_add_ps(one, power));
    const __m512 guess = _mm512_rcp14_ps(below), quotient = _mm512_mul_ps(x, guess);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(quotient, below, x), guess, quotient);
}

QN_INLINE __m512 math_avx512_sigmoid(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f);
    return math_avx512_is_near(x) ? math_avx512_near_logistic(x, one) : math_avx512_logistic(x, one);
}
QN_INLINE __m512 math_avx512_swish(__m512 x) {
    if (math_avx512_is_near(x)) return math_avx512_near_logistic(x, x);
    const __m512 finite = _mm512_max_ps(_mm512_set1_ps(-160.0f), x), y = math_avx512_logistic(finite, finite);
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, _mm512_set1_ps(100.0f), _CMP_GT_OQ), x);
}

// x times a polynomial whose constant is by far its largest term: `rest` are the others.
QN_INLINE __m512 math_avx512_times(__m512 x, __m512 limit, __m512 constant, __m512 rest) {
    x = _mm512_min_ps(limit, _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), limit), x));
    return _mm512_fmadd_ps(x, constant, _mm512_mul_ps(x, rest));
}

// Intervals of a quarter up to 4, where erf rounds to 1.
QN_INLINE __m512 math_avx512_erf(__m512 x) {
    static const float c[6][16] = {
        {1.12252963f, 1.07764506f, 0.997185409f, 0.896085799f, 0.789678454f, 0.689578235f, 0.602119207f, 0.529061377f,
         0.469339281f, 0.420722961f, 0.380874157f, 0.347809434f, 0.319996834f, 0.296295762f, 0.275861979f, 0.258064508f},
        {-0.0931549519f, -0.259446084f, -0.373897403f, -0.424389422f, -0.419026196f, -0.377613425f, -0.32101351f, -0.264274955f,
         -0.215058103f, -0.175459579f, -0.144657627f, -0.120876245f, -0.102378264f, -0.0877875611f, -0.0760992467f, -0.0665972009f},
        {-0.365642309f, -0.288495272f, -0.16526486f, -0.0397309512f, 0.0541918091f, 0.104267411f, 0.117074735f, 0.107401393f,
         0.088863492f, 0.069871515f, 0.0539598949f, 0.0417536981f, 0.0326962695f, 0.0259983577f, 0.020990666f, 0.0171860252f},
        {0.055377692f, 0.142986208f, 0.175345793f, 0.151602298f, 0.0962304026f, 0.0390330814f, -0.00137431896f, -0.0213118009f,
         -0.0262709763f, -0.0236383155f, -0.0186931659f, -0.0140004288f, -0.0103348121f, -0.0076757893f, -0.00578537816f, -0.00443425495f},
        {0.10605453f, 0.0626982898f, 0.00198062882f, -0.0443999805f, -0.0603374057f, -0.0504389443f, -0.0297868811f, -0.011271474f,
         -0.000127392996f, 0.00437601795f, 0.00504130917f, 0.00421292847f, 0.00313142478f, 0.00223550154f, 0.00158987404f, 0.00114451104f},
        {-0.0194673929f, -0.0462688766f, -0.0465112254f, -0.0255787428f, -0.000676680706f, 0.0144002596f, 0.0169277489f, 0.0120633049f,
         0.00591950398f, 0.00167752628f, -0.000307631883f, -0.000865142152f, -0.000815426291f, -0.000613132957f, -0.000427459017f, -0.000293190329f}};
    const __m512 limit = _mm512_set1_ps(3.99999976f), size = _mm512_min_ps(limit, math_avx512_size(x));
    const __m512i interval = _mm512_cvttps_epi32(_mm512_mul_ps(size, _mm512_set1_ps(4.0f)));
    const __m512 middle = _mm512_fmadd_ps(_mm512_cvtepi32_ps(interval), _mm512_set1_ps(0.25f), _mm512_set1_ps(0.125f));
    const __m512 t = _mm512_sub_ps(size, middle);
    __m512 p = _mm512_permutexvar_ps(interval, _mm512_loadu_ps(c[5]));
    QN_UNROLL for (int i = 4; i > 0; i--) p = _mm512_fmadd_ps(p, t, _mm512_permutexvar_ps(interval, _mm512_loadu_ps(c[i])));
    return math_avx512_times(x, limit, _mm512_permutexvar_ps(interval, _mm512_loadu_ps(c[0])), _mm512_mul_ps(p, t));
}

// Intervals of a quarter of a power of two from 1/4 to 8, one before and one behind; from 9.02 on tanh rounds to 1.
QN_INLINE __m512 math_avx512_tanh(__m512 x) {
    static const float c[8][32] = {
        {0.125f, 0.28125f, 0.34375f, 0.40625f, 0.46875f, 0.5625f, 0.6875f, 0.8125f, 0.9375f, 1.125f, 1.375f, 1.625f, 1.875f, 2.25f, 2.75f, 3.25f,
         3.75f, 4.5f, 5.5f, 6.5f, 7.5f, 8.51500034f},
        {0.994823992f, 0.97444123f, 0.962388694f, 0.948391318f, 0.932669401f, 0.906364381f, 0.867452443f, 0.825805604f, 0.783009648f, 0.71937871f,
         0.639873981f, 0.569443822f, 0.50882411f, 0.434678286f, 0.360676259f, 0.306768507f, 0.266371846f, 0.222167388f, 0.181812108f, 0.153845459f,
         0.133333251f, 0.117439799f},
        {-0.0823014602f, -0.176181197f, -0.208963826f, -0.238363162f, -0.264114022f, -0.295628458f, -0.32452926f, -0.339695305f, -0.343328655f,
         -0.332752854f, -0.301068366f, -0.26197505f, -0.223480791f, -0.17387259f, -0.125258893f, -0.0925454721f, -0.0704431906f, -0.0492608622f,
         -0.0330446027f, -0.0236671418f, -0.0177776031f, -0.0137920892f},
        {-0.32102865f, -0.274829149f, -0.249167591f, -0.220868453f, -0.190961316f, -0.145214498f, -0.0868905261f, -0.0359440222f, 0.00514095835f,
         0.0475717857f, 0.0744080916f, 0.0793667734f, 0.0734985545f, 0.0583834536f, 0.0397005826f, 0.0266362336f, 0.0181961972f, 0.0108372141f,
         0.0059959637f, 0.00363970781f, 0.00237018405f, 0.00161972153f},
        {0.0645912141f, 0.12800242f, 0.14481467f, 0.156121969f, 0.162007764f, 0.161578789f, 0.147312582f, 0.123318188f, 0.0956117138f, 0.0563591048f,
         0.0183001459f, -0.00258677942f, -0.0115719093f, -0.0139106903f, -0.0106018074f, -0.00697700214f, -0.00446075341f, -0.00233509485f,
         -0.00108203152f, -0.000559012289f, -0.000315910467f, -0.000190204999f},
        {0.121047877f, 0.0780215636f, 0.0562966578f, 0.0342210047f, 0.0131273903f, -0.0144196646f, -0.0404415578f, -0.0534921251f, -0.0558381081f,
         -0.0471926816f, -0.0288381167f, -0.0139266923f, -0.00495582772f, 0.000705726969f, 0.00200065901f, 0.00154471153f, 0.00099462294f,
         0.000482434989f, 0.000192687323f, 8.55385006e-05f, 4.2067044e-05f, 2.23313509e-05f},
        {-0.0376126394f, -0.0673387423f, -0.0707992464f, -0.0696795285f, -0.0646750033f, -0.0519763045f, -0.0310106315f, -0.0114880307f, 0.00285364408f,
         0.0133596491f, 0.0140991705f, 0.00948433392f, 0.00513184816f, 0.00150183844f, -2.36684555e-05f, -0.000238168388f, -0.000187912286f,
         -9.35660137e-05f, -3.37913225e-05f, -1.30977951e-05f, -5.6296135e-06f, -2.63679226e-06f},
        {-0.044406265f, -0.0156924203f, -0.0028887128f, 0.00855418481f, 0.0177157596f, 0.0261608139f, 0.0282225069f, 0.0230415016f, 0.015066945f,
         0.00455527473f, -0.0022758136f, -0.00330461934f, -0.00239152624f, -0.000987641048f, -0.000189736835f, -1.5817825e-06f, 2.46353775e-05f,
         1.5806032e-05f, 5.58757029e-06f, 1.95127541e-06f, 7.43134478e-07f, 3.08797354e-07f}};
    const __m512 limit = _mm512_set1_ps(9.03f), size = _mm512_min_ps(limit, math_avx512_size(x));
    const __m512i from = _mm512_set1_epi32((0x3E800000 >> 21) - 1), bits = _mm512_srli_epi32(_mm512_castps_si512(size), 21);
    const __m512i interval = _mm512_max_epi32(_mm512_sub_epi32(bits, from), _mm512_setzero_si512());
#define QN_OF_INTERVAL(row) _mm512_permutex2var_ps(_mm512_loadu_ps(row), interval, _mm512_loadu_ps((row) + 16))
    const __m512 t = _mm512_sub_ps(size, QN_OF_INTERVAL(c[0]));
    __m512 p = QN_OF_INTERVAL(c[7]);
    QN_UNROLL for (int i = 6; i > 1; i--) p = _mm512_fmadd_ps(p, t, QN_OF_INTERVAL(c[i]));
    return math_avx512_times(x, limit, QN_OF_INTERVAL(c[1]), _mm512_mul_ps(p, t));
#undef QN_OF_INTERVAL
}
#endif
