"""Reference for every number that `sgflow probe` prints, by its key: a function of
a Point (outside.py) that computes it from what other libraries found. A key of
`sgflow measures` that is not here, and not in NO_REFERENCE, has none yet."""

import dataclasses
import functools

import numpy as np
import scipy.optimize
import scipy.stats

import outside

VALUE, EIGENVALUE, ASCENT = "value", "eigenvalue", "ascent"

UNKNOWN = object()  # a reference that can't be had at this point
SCALE = 1e3  # of the loss, whose changes in the box are small beside L-BFGS-B's tolerances
DIRECTIONS = 10  # that perturbed_loss is the mean of
STDERR_OF_STDERR = 0.15  # of 48 probes: 1/√(2·47) were they normal, and they have longer tails

REFERENCES = {}  # key: (library, function of the point and of what sgflow printed)

# What says how good another number is, and is judged with it.
NO_REFERENCE = {
    "lambda_max_residual": "of lambda_max", "lambda_min_residual": "of lambda_min",
    "ggn_lambda_max_residual": "of ggn_lambda_max", "fisher_lambda_max_residual": "of fisher_lambda_max",
    "fisher_mc_lambda_max_residual": "of fisher_mc_lambda_max", "noise_curvature_stderr": "of noise_curvature",
    "frobenius_stderr": "of frobenius", "trace_hutchpp_stderr": "of trace_hutchpp",
    "fisher_mc_trace_stderr": "of fisher_mc_trace, for a population", "batch_sharpness_batches": "of batch_sharpness_mean",
    "batch_sharpness_mean_stderr": "of batch_sharpness_mean", "batch_sharpness_pooled_stderr": "of batch_sharpness_pooled",
    "step_sharpness_stderr": "of step_sharpness",
    "keskar_sharpness_subspace": "its subspace is sgflow's own random one",
}


@dataclasses.dataclass
class Reference:
    """What a number should be. None means that it should be absent.

    scale is what rounding acts on, where that is not the value itself: of a
    difference, its larger term. error, where not None, is the standard deviation
    of an estimate about the value."""

    value: float
    scale: float = None
    kind: str = VALUE
    error: float = None


def reference(key, library):
    """Registers a function as a key's reference; what it returns may be a plain
    number."""
    def register(function):
        REFERENCES[key] = (library, function)
        return function

    return register


def trace_of(point):
    return point.sample_norms_sq.sum() / point.n  # (1/n) Σ‖gᵢ‖²


def variance_of(point):
    return sum(v.sum() for v in point.variances)


@reference("loss", "PyTorch")
def loss(point, ours):
    return point.loss_at()


@reference("accuracy", "PyTorch")
def accuracy(point, ours):
    return float((point.logits.argmax(1) == point.y).double().mean())


@reference("grad_norm_sq", "PyTorch")
def grad_norm_sq(point, ours):
    return point.gradient @ point.gradient


@reference("grad_var_trace", "BackPACK Variance")
def grad_var_trace(point, ours):
    return variance_of(point)


@reference("grad_norm_sq_unbiased", "BackPACK Variance")
def grad_norm_sq_unbiased(point, ours):
    sq = point.gradient @ point.gradient
    return Reference(sq - variance_of(point) / point.n, scale=sq)


@reference("noise_scale", "BackPACK Variance")
def noise_scale(point, ours):
    below = grad_norm_sq_unbiased(point, ours)
    value = variance_of(point) / below.value
    condition = max(1.0, below.scale / abs(below.value))
    return Reference(value if below.value > 0 else None, scale=abs(value) * condition)


@reference("fisher_trace", "BackPACK BatchL2Grad")
def fisher_trace(point, ours):
    return trace_of(point)


def norm_quantile(key, q):
    @reference(key, "BackPACK BatchL2Grad")
    def quantile(point, ours):
        return np.quantile(np.sqrt(point.sample_norms_sq.sum(0)), q)


for _key, _q in {"min": 0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1}.items():
    norm_quantile("sample_norm_" + _key, _q)


@reference("norm_test", "Cockpit NormTest's formula on BackPACK BatchL2Grad")
def norm_test(point, ours):
    n, sq = point.n, point.gradient @ point.gradient
    return np.sqrt((n * trace_of(point) - n * sq) / (n - 1) / n / sq)


def slopes_of(point):
    return point.sample_gradients @ point.gradient


@reference("inner_product_test", "BackPACK BatchGrad")
def inner_product_test(point, ours):
    return np.sqrt(slopes_of(point).var(ddof=1) / point.n) / (point.gradient @ point.gradient)


@reference("orthogonality_test", "BackPACK BatchGrad")
def orthogonality_test(point, ours):
    sq, n = point.gradient @ point.gradient, point.n
    across = point.sample_gradients - np.outer(slopes_of(point) / sq, point.gradient)
    return np.sqrt(np.square(across).sum() / (n - 1) / n / sq)


def noise_interval(key):
    """The jackknife over the samples by leaving each out in turn, and Fieller's
    interval from its covariance."""
    @reference(key, "BackPACK BatchGrad")
    def interval(point, ours):
        n, g = point.n, point.sample_gradients
        norms, total = np.square(g).sum(1), g.sum(0)
        left = []
        for i in range(n):
            mean = (total - g[i]) / (n - 1)
            sq = mean @ mean
            spread = (norms.sum() - norms[i] - (n - 1) * sq) / (n - 2)
            left.append((spread, sq - spread / (n - 1)))
        covariance = np.cov(np.array(left).T, bias=True) * (n - 1)
        s, d = variance_of(point), grad_norm_sq_unbiased(point, ours).value
        if key == "grad_var_trace_stderr":
            return np.sqrt(covariance[0, 0])
        if key == "grad_norm_sq_unbiased_stderr":
            return np.sqrt(covariance[1, 1])
        t = scipy.stats.t.ppf(0.975, n - 1) ** 2
        a, b, c = d * d - t * covariance[1, 1], s * d - t * covariance[0, 1], s * s - t * covariance[0, 0]
        roots = np.sort(np.roots([a, -2 * b, c]))
        if np.iscomplexobj(roots):
            return None
        if a > 0:
            return Reference(roots[0 if key == "noise_scale_low" else 1], scale=abs(roots[0]) * max(1, d * d / a))
        # No end above: b and S/G lie on the same side of the gap between the roots.
        return Reference(roots[1], scale=abs(roots[1]) * max(1, d * d / -a)) if key == "noise_scale_low" else None


for _key in ("grad_var_trace_stderr", "grad_norm_sq_unbiased_stderr", "noise_scale_low", "noise_scale_high"):
    noise_interval(_key)


@reference("gsnr_mean", "Cockpit MeanGSNR's formula on BackPACK SumGradSquared")
def gsnr_mean(point, ours):
    squared = point.gradient**2
    return float((squared / (point.second_moment - squared + 1e-5)).mean())


@reference("param_var_max", "BackPACK Variance")
def param_var_max(point, ours):
    return max(v.max() for v in point.variances)


@reference("param_var_zero", "BackPACK BatchGrad")
def param_var_zero(point, ours):
    return float((np.ptp(point.sample_gradients, axis=0) == 0).mean())


@reference("batch_sharpness", "curvlinops Hessian")
def batch_sharpness(point, ours):
    g = point.gradient
    return g @ (point.hessian @ g) / (g @ g)


@reference("lambda_max", "curvlinops Hessian, scipy")
def lambda_max(point, ours):
    return Reference(point.spectrum[0][0], kind=EIGENVALUE)


@reference("lambda_min", "curvlinops Hessian, scipy")
def lambda_min(point, ours):
    return Reference(point.spectrum[1], kind=EIGENVALUE)


@reference("trace", "BackPACK DiagHessian")
def trace(point, ours):
    """An estimate, or the exact value where no standard error is printed. By the
    standard error that sgflow gives: its own claim."""
    return Reference(point.hessian_diagonal.sum(), error=ours.get("trace_stderr"))


@reference("trace_stderr", "curvlinops Hessian")
def trace_stderr(point, ours):
    """The deviation of the estimate by theory, Rademacher probes having variance
    2(‖H‖² − Σⱼ Hⱼⱼ²) each; known where H can be written down."""
    if point.dense_hessian is None:
        return UNKNOWN
    off = np.square(point.dense_hessian).sum() - np.square(point.hessian_diagonal).sum()
    value = np.sqrt(2 * off / ours["probes"])
    return Reference(value, error=value * STDERR_OF_STDERR)


@reference("tic_trace", "BackPACK BatchL2Grad and DiagHessian")
def tic_trace(point, ours):
    """With sgflow's own trace: an estimate in a denominator has no error to speak
    of."""
    return trace_of(point) / ours["trace"]


@reference("noise_curvature", "curvlinops Hessian on BackPACK BatchGrad")
def noise_curvature(point, ours):
    """One w is drawn: Tr(HΣ̂) ± √(2(‖A‖² − Σᵢ Aᵢᵢ²)), Aᵢⱼ = (gᵢ−ḡ)ᵀH(gⱼ−ḡ)/(n−1)."""
    a = point.noise_by_curvature
    return Reference(np.trace(a), error=np.sqrt(2 * (np.square(a).sum() - np.square(np.diag(a)).sum())))


@reference("noise_alignment", "curvlinops Hessian on BackPACK BatchGrad")
def noise_alignment(point, ours):
    """With sgflow's own estimates of both traces."""
    return ours["noise_curvature"] / (ours["trace"] * variance_of(point) / point.size)


@reference("ggn_trace", "BackPACK DiagGGNExact")
def ggn_trace(point, ours):
    return point.ggn_diagonal.sum()


@reference("ggn_lambda_max", "curvlinops GGN, scipy")
def ggn_lambda_max(point, ours):
    return Reference(point.eigenvalues(point.gauss_newton, 1)[0], kind=EIGENVALUE)


@reference("fisher_lambda_max", "BackPACK BatchGrad, numpy")
def fisher_lambda_max(point, ours):
    g = point.sample_gradients  # GᵀG/n and GGᵀ/n have the same eigenvalues
    return Reference(np.linalg.eigvalsh(g @ g.T / point.n)[-1], kind=EIGENVALUE)


@reference("frobenius", "curvlinops Hessian")
def frobenius(point, ours):
    """‖H‖, known where H can be written down; ‖Hz‖² has variance
    2(‖H²‖² − Σⱼ (H²)ⱼⱼ²) for Rademacher z."""
    if point.dense_hessian is None:
        return UNKNOWN
    square = point.dense_hessian @ point.dense_hessian
    off = np.square(square).sum() - np.square(np.diag(square)).sum()
    value = np.sqrt(np.trace(square))
    return Reference(value, error=np.sqrt(2 * off / ours["probes"]) / (2 * value))


@reference("trace_hutchpp", "BackPACK DiagHessian")
def trace_hutchpp(point, ours):
    return Reference(point.hessian_diagonal.sum(), error=ours["trace_hutchpp_stderr"])


@reference("fisher_mc_trace", "BackPACK DiagGGNExact; spread of drawn labels")
def fisher_mc_trace(point, ours):
    traces = [np.square(g).sum() / point.n for g in point.drawn_gradients]
    return Reference(point.ggn_diagonal.sum(), error=np.std(traces, ddof=1))


@reference("fisher_mc_lambda_max", "BackPACK BatchGrad with labels drawn anew")
def fisher_mc_lambda_max(point, ours):
    found = [np.linalg.eigvalsh(g @ g.T / point.n)[-1] for g in point.drawn_gradients]
    return Reference(np.mean(found), error=np.std(found, ddof=1) * np.sqrt(1 + 1 / len(found)))


def of_batches(key, which):
    """Averages over batches that PyTorch draws itself. Where a batch takes all
    samples both are exact."""
    @reference(key, "PyTorch with batches drawn anew")
    def average(point, ours):
        if point.n <= outside.BATCH:
            return batch_sharpness(point, ours)
        inner, squares, step = point.batch_curvatures
        values = {"mean": inner / squares, "step": step / squares}.get(which)
        if values is None:  # a ratio of means, by the delta method
            value = inner.mean() / squares.mean()
            own = (inner - value * squares).std(ddof=1) / squares.mean() / np.sqrt(len(inner))
        else:
            value, own = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
        return Reference(value, error=np.hypot(own, ours[key + "_stderr"]))


of_batches("batch_sharpness_mean", "mean")
of_batches("batch_sharpness_pooled", "pooled")
of_batches("step_sharpness", "step")


@reference("sam_sharpness", "PyTorch")
def sam_sharpness(point, ours):
    g = point.gradient
    return rise(point, 0.05 * g / np.linalg.norm(g))


@reference("sam_sharpness_adaptive", "PyTorch")
def sam_sharpness_adaptive(point, ours):
    g, size = point.gradient, np.abs(point.theta)
    return rise(point, 0.5 * size**2 * g / np.linalg.norm(size * g))


def rise(point, step):
    """L(θ + step) − L(θ), a difference: rounding acts on the losses."""
    before, after = point.loss_at(), point.loss_at(point.theta + step)
    return Reference(after - before, scale=max(abs(before), abs(after)))


@reference("keskar_sharpness", "PyTorch, scipy L-BFGS-B")
def keskar_sharpness(point, ours):
    """The largest loss in the box that Keskar's own optimizer finds. Both are
    lower bounds of the same maximum."""
    if point.dense_hessian is None:
        return UNKNOWN
    reach = 1e-3 * (np.abs(point.theta) + 1)

    def fall(z):
        loss, g = point.loss_and_gradient(point.theta + reach * z)
        return -loss * SCALE, -SCALE * reach * g

    before = point.loss_at()
    found = scipy.optimize.minimize(fall, np.zeros(point.size), jac=True, method="L-BFGS-B",
                                    bounds=[(-1, 1)] * point.size, options={"maxiter": 1000, "maxfun": 5000, "ftol": 0, "gtol": 0})
    return Reference(100 * (-found.fun / SCALE - before) / (1 + before), kind=ASCENT)


def perturbed(alpha):
    losses = functools.cache(lambda point: point.perturbed_losses(alpha))
    key = f"perturbed_loss_{alpha:g}"

    @reference(key, "PyTorch with directions drawn anew")
    def mean(point, ours):
        found = losses(point)
        return Reference(found.mean(), error=found.std(ddof=1) * np.sqrt(1 / DIRECTIONS + 1 / len(found)))

    @reference(key + "_deviation", "PyTorch with directions drawn anew")
    def deviation(point, ours):
        """Of so few directions known to a quarter: 1/√(2·9)."""
        value = losses(point).std(ddof=1)
        return Reference(value, error=value * np.sqrt(1 / (2 * (DIRECTIONS - 1)) + 1 / (2 * (len(losses(point)) - 1))))


for _alpha in (0.1, 0.3, 1.0):
    perturbed(_alpha)
