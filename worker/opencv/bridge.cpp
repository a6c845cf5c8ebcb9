/* See bridge.h: the only C++ of the project. Each function wraps the caller's memory in cv::Mat
 * headers, calls one OpenCV function, and turns whatever is thrown into a failure. */
#include "worker/opencv/bridge.h"

#include <cerrno>
#include <mutex>
#include <new>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace {

std::once_flag threads_off;

/* Runs work with exceptions turned into failures. what: for the sentence. */
template <typename Work> int guarded(const char *what, struct failure *failure, Work work) {
    try {
        std::call_once(threads_off, [] { cv::setNumThreads(0); });
        work();
        return 0;
    } catch (const std::bad_alloc &) {
        return failure_set(failure, -ENOMEM, "OpenCV's %s ran out of memory", what);
    } catch (const cv::Exception &exception) {
        int code = exception.code == cv::Error::StsNoMem ? -ENOMEM : -EIO;
        return failure_set(failure, code, "OpenCV's %s failed: %s", what, exception.err.c_str());
    } catch (...) {
        return failure_set(failure, -EIO, "OpenCV's %s failed for an unknown reason", what);
    }
}

} // namespace

int bridge_dft_size(int at_least) {
    int half = at_least > 1 ? (at_least + 1) / 2 : 1;
    int size = cv::getOptimalDFTSize(half); /* -1 above its table, which ends near 2^31 */
    return size > 0 ? 2 * size : at_least;
}

int bridge_dft(float *pixels, int width, int height, bool inverse, struct failure *failure) {
    return guarded("Fourier transform", failure, [=] {
        CV_Assert(width > 0 && height > 0); /* OpenCV itself takes an empty image for done */
        cv::Mat image(height, width, CV_32FC2, pixels);
        cv::dft(image, image, inverse ? cv::DFT_INVERSE | cv::DFT_SCALE : 0);
        CV_Assert(image.ptr<float>() == pixels);
    });
}

int bridge_blur(const float *source, int width, int height, double sigma, float *ret,
                struct failure *failure) {
    return guarded("Gaussian blur", failure, [=] {
        /* OpenCV has no header for constant memory; GaussianBlur reads its source only */
        const cv::Mat from(height, width, CV_32FC1, const_cast<float *>(source));
        cv::Mat to(height, width, CV_32FC1, ret);
        cv::GaussianBlur(from, to, cv::Size(), sigma, sigma, cv::BORDER_REPLICATE);
        CV_Assert(to.ptr<float>() == ret);
    });
}
