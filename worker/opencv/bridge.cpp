/* See bridge.h: the only C++ of the project. Each function wraps the caller's memory in cv::Mat
 * headers, calls one OpenCV function, and turns whatever is thrown into a failure. */
#include "worker/opencv/bridge.h"

extern "C" {
#include "worker/memory/tracked.h"
}

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/features2d.hpp>
#include <opencv2/imgproc.hpp>

namespace {

/* The images that OpenCV makes for itself come from the tracked allocator, so that the memory cap
 * holds for them too. */
class TrackedAllocator : public cv::MatAllocator {
  public:
    cv::UMatData *allocate(int dims, const int *sizes, int type, void *given, size_t *step,
                           cv::AccessFlag, cv::UMatUsageFlags) const override {
        CV_Assert(!given); /* headers for others' memory need no allocator */
        size_t total = CV_ELEM_SIZE(type);
        for (int i = dims - 1; i >= 0; i--) {
            if (step)
                step[i] = total;
            total *= static_cast<size_t>(sizes[i]);
        }
        void *pixels = tracked_alloc(total, 1, "OpenCV");
        if (!pixels)
            CV_Error(cv::Error::StsNoMem, "an image of its own");
        auto *data = new cv::UMatData(this);
        data->data = data->origdata = static_cast<uchar *>(pixels);
        data->size = total;
        return data;
    }

    bool allocate(cv::UMatData *data, cv::AccessFlag, cv::UMatUsageFlags) const override {
        return data != nullptr;
    }

    void deallocate(cv::UMatData *data) const override {
        if (!data)
            return;
        tracked_free(data->origdata);
        delete data;
    }
};

std::once_flag set_up;

void set_up_opencv() {
    static TrackedAllocator allocator;
    cv::setNumThreads(0);
    cv::Mat::setDefaultAllocator(&allocator);
}

/* Runs work with exceptions turned into failures. what: for the sentence. */
template <typename Work> int guarded(const char *what, struct failure *failure, Work work) {
    try {
        std::call_once(set_up, set_up_opencv);
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

int bridge_keypoints(const unsigned char *pixels, int width, int height, size_t most,
                     struct bridge_keypoint *ret, size_t *ret_count, struct failure *failure) {
    return guarded("SIFT", failure, [=] {
        /* OpenCV has no header for constant memory; SIFT reads its source only */
        const cv::Mat image(height, width, CV_8UC1, const_cast<unsigned char *>(pixels));
        /* finer and fainter points than by default, and more on edges, which fibres are */
        const int layers = 3;
        const double contrast = 0.02, edge = 20, sigma = 1.2;
        cv::Ptr<cv::SIFT> sift = cv::SIFT::create(0, layers, contrast, edge, sigma, CV_8U);
        std::vector<cv::KeyPoint> found;
        cv::Mat descriptors;
        sift->detectAndCompute(image, cv::noArray(), found, descriptors);
        CV_Assert(found.empty() || descriptors.cols == BRIDGE_DESCRIPTOR_BYTES);
        std::vector<size_t> order(found.size());
        for (size_t i = 0; i < order.size(); i++)
            order[i] = i;
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
            return found[a].response != found[b].response ? found[a].response > found[b].response
                                                          : a < b;
        });
        const size_t count = std::min(most, order.size());
        for (size_t i = 0; i < count; i++) {
            const cv::KeyPoint &point = found[order[i]];
            bridge_keypoint keypoint = {};
            keypoint.x = point.pt.x;
            keypoint.y = point.pt.y;
            keypoint.angle_rad = point.angle * CV_PI / 180;
            std::memcpy(keypoint.descriptor, descriptors.ptr(static_cast<int>(order[i])),
                        sizeof(keypoint.descriptor));
            ret[i] = keypoint;
        }
        *ret_count = count;
    });
}
