// Reads dlib's face recognition network with dlib's own code and writes what the conversion needs:
//   dlib_weights NET.dat OUT.xml OUT.txt
// OUT.xml holds every layer with its weights. OUT.txt holds the network's answer to the synthetic picture of
// `synthetic()`, so that the converted network is checked against the original program, not against itself.
#include <dlib/dnn.h>
#include <fstream>
#include <iomanip>

using namespace dlib;

// The architecture of dlib_face_recognition_resnet_model_v1, as in dlib's examples/dnn_face_recognition_ex.cpp.
template <template <int, template <typename> class, int, typename> class block, int N, template <typename> class BN, typename SUBNET>
using residual = add_prev1<block<N, BN, 1, tag1<SUBNET>>>;
template <template <int, template <typename> class, int, typename> class block, int N, template <typename> class BN, typename SUBNET>
using residual_down = add_prev2<avg_pool<2, 2, 2, 2, skip1<tag2<block<N, BN, 2, tag1<SUBNET>>>>>>;
template <int N, template <typename> class BN, int stride, typename SUBNET>
using block = BN<con<N, 3, 3, 1, 1, relu<BN<con<N, 3, 3, stride, stride, SUBNET>>>>>;
template <int N, typename SUBNET> using ares = relu<residual<block, N, affine, SUBNET>>;
template <int N, typename SUBNET> using ares_down = relu<residual_down<block, N, affine, SUBNET>>;
template <typename SUBNET> using alevel0 = ares_down<256, SUBNET>;
template <typename SUBNET> using alevel1 = ares<256, ares<256, ares_down<256, SUBNET>>>;
template <typename SUBNET> using alevel2 = ares<128, ares<128, ares_down<128, SUBNET>>>;
template <typename SUBNET> using alevel3 = ares<64, ares<64, ares<64, ares_down<64, SUBNET>>>>;
template <typename SUBNET> using alevel4 = ares<32, ares<32, ares<32, SUBNET>>>;
using network = loss_metric<fc_no_bias<128, avg_pool_everything<alevel0<alevel1<alevel2<alevel3<alevel4<
    max_pool<3, 3, 2, 2, relu<affine<con<32, 7, 7, 2, 2, input_rgb_image_sized<150>>>>>>>>>>>>>;

static matrix<rgb_pixel> synthetic()
{
    matrix<rgb_pixel> picture(150, 150);
    auto value = [](long x, long y, long c) { return static_cast<unsigned char>((3 * x + 5 * y + 85 * c + (x * y) % 61) % 256); };
    for (long y = 0; y < 150; ++y)
        for (long x = 0; x < 150; ++x)
            picture(y, x) = rgb_pixel(value(x, y, 0), value(x, y, 1), value(x, y, 2));
    return picture;
}

int main(int argc, char** argv)
{
    if (argc != 4)
    {
        std::cerr << "usage: dlib_weights NET.dat OUT.xml OUT.txt\n";
        return 64;
    }
    network net;
    deserialize(argv[1]) >> net;
    matrix<float, 0, 1> answer = net(synthetic());
    net_to_xml(net, std::string(argv[2]));
    std::ofstream text(argv[3]);
    text << std::setprecision(9);
    for (long i = 0; i < answer.size(); ++i)
        text << answer(i) << "\n";
    return text.good() ? 0 : 1;
}
